package demo

import (
	"context"
	"sync"
	"time"
)

// How the client asks the shop.
const (
	askEvery = 50 * time.Millisecond // 20 times a second
	askLimit = 250 * time.Millisecond
	askAhead = 16 // requests under way; askLimit leaves room for five
)

// askShop asks the front until ctx ends, each time on time, whatever became of the request before. It hands over what came
// of the requests in the order in which they were sent.
func askShop(ctx context.Context, front string, out chan<- asked) {
	var asking sync.WaitGroup
	defer asking.Wait()
	order := make(chan chan asked, askAhead)
	defer close(order)
	asking.Go(func() {
		for one := range order {
			a := <-one
			select {
			case out <- a:
			case <-ctx.Done():
			}
		}
	})
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		one := make(chan asked, 1)
		asking.Go(func() { one <- ask(ctx, front) })
		select {
		case order <- one:
		case <-ctx.Done():
			return
		}
	}
}

// ask asks the front once.
func ask(ctx context.Context, front string) asked {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	a := asked{sent: time.Now()}
	a.answer, a.err = get(ctx, direct, "http://"+front+"/")
	if a.err == nil {
		a.err = checkAnswer(a.answer)
	}
	a.done = time.Now()
	return a
}
