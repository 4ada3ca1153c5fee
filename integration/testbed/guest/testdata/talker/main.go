// Command talker says a word to an address and prints the answer, writes it to a file, or sits until it is killed.
package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
)

func main() {
	if err := do(os.Args[1:]); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func do(args []string) error {
	switch {
	case len(args) == 1 && args[0] == "sit":
		return sit()
	case len(args) == 3 && args[0] == "say":
		return say(args[1], args[2])
	case len(args) == 3 && args[0] == "write":
		return write(args[1], args[2])
	}
	return errors.New("usage: talker sit | say ADDRESS WORD | write FILE WORD")
}

// sit reads from a pipe into which nobody writes.
func sit() error {
	r, _, err := os.Pipe()
	if err != nil {
		return err
	}
	fmt.Println("sits")
	_, err = r.Read(make([]byte, 1))
	return err
}

// write has the word on the disk when it returns.
func write(file, word string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = f.WriteString(word)
	return errors.Join(err, f.Sync(), f.Close())
}

func say(address, word string) error {
	conn, err := net.Dial("tcp4", address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, word); err != nil {
		return err
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	answer, err := io.ReadAll(conn)
	fmt.Printf("answer %q\n", answer)
	return err
}
