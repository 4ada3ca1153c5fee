package bus

// Dropped counts the messages that came on the subscriptions that stand now and whose handlers did not take them in time.
func (c *Conn) Dropped() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	var sum uint64
	for s := range c.subs {
		if n, err := s.nats.Dropped(); err == nil { // an error: it is closed
			sum += uint64(max(n, 0))
		}
	}
	return sum
}
