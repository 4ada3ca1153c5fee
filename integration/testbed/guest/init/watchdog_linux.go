package main

import (
	"fmt"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
)

// pets is how often the watchdog is fed within its timeout.
const pets = 10

// feed opens the watchdog, which arms it, and pets it until TERM; then it disarms it by the magic close.
func feed(timeout string) error {
	within, err := time.ParseDuration(timeout)
	if err != nil {
		return err
	}
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, unix.SIGTERM)
	dog, err := os.OpenFile("/dev/watchdog", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { _ = dog.Close() }()
	if err := unix.IoctlSetPointerInt(int(dog.Fd()), unix.WDIOC_SETTIMEOUT, int(within.Seconds())); err != nil {
		return fmt.Errorf("set the watchdog's timeout: %w", err)
	}
	fmt.Println("armed", within)
	tick := time.NewTicker(within / pets)
	defer tick.Stop()
	for {
		if err := unix.IoctlWatchdogKeepalive(int(dog.Fd())); err != nil {
			return fmt.Errorf("pet the watchdog: %w", err)
		}
		select {
		case <-tick.C:
		case <-terminated:
			if _, err := dog.WriteString("V"); err != nil {
				return fmt.Errorf("disarm the watchdog: %w", err)
			}
			fmt.Println("disarmed")
			return nil
		}
	}
}
