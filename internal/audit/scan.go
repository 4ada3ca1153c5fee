package audit

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
)

// FileName is the file that is being written, in a monitor's data directory. Full ones are audit.1.jsonl, audit.2.jsonl, ….
const FileName = "audit.jsonl"

var fullName = regexp.MustCompile(`^audit\.([1-9][0-9]{0,8})\.jsonl$`)

// errLong is of a line that nobody has written.
var errLong = errors.New("it is longer than a line can be")

// lines reads a file line by line.
type lines struct {
	r     *bufio.Reader
	text  []byte
	limit int // of a line
}

func newLines(r io.Reader, limit int) *lines {
	return &lines{r: bufio.NewReaderSize(r, 64<<10), limit: limit}
}

// next returns the next line without its line feed, good until the next call; ended says that it had one. The error is
// io.EOF when there is no more.
func (l *lines) next() (text []byte, ended bool, err error) {
	l.text = l.text[:0]
	for {
		part, err := l.r.ReadSlice('\n')
		l.text = append(l.text, part...)
		switch {
		case err == nil:
			return l.text[:len(l.text)-1], true, nil
		case errors.Is(err, io.EOF) && len(l.text) > 0:
			return l.text, false, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, false, err
		case len(l.text) > l.limit:
			return nil, false, errLong
		}
	}
}

// tail is how a file ends.
type tail struct {
	number int   // of the file, from its header; 0: it does not begin with one
	some   bool  // it has a good line
	end    Point // of the last good line
	good   int64 // bytes up to the end of that line
	whole  int64 // bytes up to the last line feed
	size   int64
}

// readTail finds the last good line of a file.
func readTail(path string) (tail, error) {
	f, err := os.Open(path)
	if err != nil {
		return tail{}, err
	}
	defer func() { _ = f.Close() }() // it is read only
	var t tail
	for in := newLines(f, math.MaxInt); ; {
		text, ended, err := in.next()
		if errors.Is(err, io.EOF) {
			return t, nil
		}
		if err != nil {
			return t, fmt.Errorf("read %s: %w", path, err)
		}
		first := t.size == 0
		t.size += int64(len(text))
		if !ended {
			return t, nil
		}
		t.size++
		t.whole = t.size
		r, err := decode(text)
		if err != nil {
			continue
		}
		if first {
			t.number = r.File
		}
		t.some, t.end, t.good = true, r.point(), t.size
	}
}

// highest is the number of the newest full file in a directory, 0 if there is none.
func highest(dir string) (int, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	number := 0
	for _, entry := range entries {
		if match := fullName.FindStringSubmatch(entry.Name()); match != nil {
			n, _ := strconv.Atoi(match[1]) // nine digits at most
			number = max(number, n)
		}
	}
	return number, nil
}

func fullPath(dir string, number int) string {
	return filepath.Join(dir, fmt.Sprintf("audit.%d.jsonl", number))
}
