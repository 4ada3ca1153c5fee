package rafttest

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

func TestCutAndHeal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork()
		a, b := n.Listen("a"), n.Listen("b")
		defer func() { _ = a.Close() }()
		go func() { // until b is closed
			for {
				c, err := b.Accept()
				if err != nil {
					return
				}
				go func() { _, _ = io.Copy(c, c) }()
			}
		}()
		c, err := a.Dial("b", time.Second)
		if err != nil {
			t.Fatalf("Dial: %v", err)
		}
		if err := echo(c); err != nil {
			t.Fatalf("echo: %v", err)
		}
		n.Isolate("b")
		if err := echo(c); err == nil {
			t.Error("a connection outlived the cut")
		}
		began := time.Now()
		if _, err := a.Dial("b", time.Second); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("Dial through a cut: got %v after %s, want a timeout after 1s", err, time.Since(began))
		}
		n.Heal("b", "a")
		c, err = a.Dial("b", time.Second)
		if err != nil {
			t.Fatalf("Dial after Heal: %v", err)
		}
		if err := echo(c); err != nil {
			t.Errorf("echo after Heal: %v", err)
		}
		_, _ = c.Close(), b.Close()
		if _, err := a.Dial("b", time.Second); !errors.Is(err, errRefused) {
			t.Errorf("Dial of a closed stream: got %v, want %v", err, errRefused)
		}
	})
}

func echo(c net.Conn) error {
	if _, err := c.Write([]byte("x")); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 1))
	return err
}
