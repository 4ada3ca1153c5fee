package plans

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// What a file may be at most. The limits keep a hostile file from costing more than a large honest one.
const (
	maxFileSize = 1 << 20 // bytes
	maxNodes    = 200_000 // keys, values and lists
	maxDepth    = 32      // lists and mappings inside each other
	maxReparsed = 4 << 20 // bytes read again to find the line of a syntax error
)

// file is a file while it is read and walked.
type file struct {
	name  string
	text  []byte
	lines []string // made when the first mistake asks for a line
	lint  *linter
}

var (
	byteOrderMark = []byte("\uFEFF")
	// lineBreak is what YAML takes for the end of a line.
	lineBreak = regexp.MustCompile("\r\n|[\n\r\u0085\u2028\u2029]")
)

// line returns a line by its number, empty if there is none.
func (f *file) line(number int) string {
	if number < 1 {
		return ""
	}
	if f.lines == nil {
		f.lines = lineBreak.Split(string(bytes.TrimPrefix(f.text, byteOrderMark)), -1)
	}
	if number > len(f.lines) {
		return ""
	}
	return f.lines[number-1]
}

// parse reads the one document of the file and answers with its root. Not ok: there is nothing to walk.
func (f *file) parse() (root *yaml.Node, ok bool) {
	start := spot{line: 1, col: 1, width: 1}
	if len(f.text) > maxFileSize {
		f.mistake(spot{}, codeTooBig, fmt.Sprintf("the limit is %d bytes; split it", maxFileSize), fmt.Sprintf("a file of %d bytes", len(f.text)))
		return nil, false
	}
	if good := validPrefix(f.text); good < len(f.text) {
		f.mistake(f.wholeLine(good), codeEncoding, "save the file as UTF-8", "this line is not UTF-8")
		return nil, false
	}
	reader := &lineReader{rest: f.text}
	documents, err := parseYAML(reader)
	if err != nil {
		f.syntax(err, len(f.text)-len(reader.rest))
		return nil, false
	}
	if len(documents) == 0 {
		f.mistake(start, codeDocuments, "write an inventory or a plan, or leave the file out", "the file is empty")
		return nil, false
	}
	if len(documents) > 1 {
		f.mistake(f.wholeLineAt(documents[1].Line), codeDocuments, "put each document into a file of its own", "a second document")
	}
	root = documents[0].Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		f.mistake(start, codeDocuments, "write an inventory or a plan, or leave the file out", "the document is empty")
		return nil, false
	}
	nodes := 0
	return root, f.inspect(root, 1, &nodes)
}

// inspect refuses what the language does not use of YAML, once, so that no other code meets it.
func (f *file) inspect(n *yaml.Node, depth int, nodes *int) bool {
	*nodes++
	if *nodes > maxNodes {
		f.mistake(nodeSpot(n), codeTooBig, "split the file", fmt.Sprintf("more than %d keys and values", maxNodes))
		return false
	}
	if depth > maxDepth {
		f.mistake(nodeSpot(n), codeTooBig, "", fmt.Sprintf("more than %d lists and mappings inside each other", maxDepth))
		return false
	}
	switch {
	case n.Kind == yaml.AliasNode:
		f.mistake(nodeSpot(n), codeYAMLFeature, "write out what it stands for", "aliases are not part of the language")
	case n.Anchor != "":
		f.mistake(nodeSpot(n), codeYAMLFeature, "write the value out where it is needed", "anchors are not part of the language")
	case n.Tag == "!!merge":
		f.mistake(nodeSpot(n), codeYAMLFeature, "write out the fields", "merge keys are not part of the language")
	case n.Style&yaml.TaggedStyle != 0:
		f.mistake(nodeSpot(n), codeYAMLFeature, "leave the tag out", "tags are not part of the language")
	}
	for _, child := range n.Content {
		if !f.inspect(child, depth+1, nodes) {
			return false
		}
	}
	return true
}

// parseYAML reads up to two documents: one is right, and the second is shown as a mistake. The YAML library panics on some
// broken input; that is an error here.
func parseYAML(r io.Reader) (documents []*yaml.Node, err error) {
	defer func() {
		if p := recover(); p != nil {
			documents, err = nil, fmt.Errorf("the text cannot be read as YAML: %v", p)
		}
	}()
	decoder := yaml.NewDecoder(r)
	for range 2 {
		var n yaml.Node
		if err := decoder.Decode(&n); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		documents = append(documents, &n)
	}
	return documents, nil
}

// libraryPrefix is what the YAML library puts before its words; its line number is often that of something else.
var libraryPrefix = regexp.MustCompile(`^yaml: (line \d+: )?`)

// syntax notes a syntax error. Read is how much of the text the library had taken in when it gave up.
func (f *file) syntax(err error, read int) {
	at := f.wholeLine(f.firstBad(read))
	message := libraryPrefix.ReplaceAllString(err.Error(), "")
	hint := ""
	switch {
	case strings.HasPrefix(strings.TrimLeft(f.line(at.line), " "), "\t"):
		hint = "indent with spaces, not with tabs"
	case strings.Contains(message, "mapping values are not allowed"):
		hint = "a text with a colon needs quotes; or check the indentation"
	case strings.Contains(message, "unknown anchor"):
		hint = "aliases are not part of the language; a text that begins with * needs quotes"
	case strings.Contains(message, "cannot start any token"):
		hint = "a text that begins like this needs quotes"
	case strings.Contains(message, "end of stream"):
		hint = "the quote that opens here is never closed"
	case strings.Contains(message, "did not find expected"):
		hint = "check the indentation, and that each bracket is closed"
	}
	f.mistake(at, codeSyntax, hint, printable(message))
}

// firstBad returns the offset of the line that made the text unreadable: the one before which it could be read.
func (f *file) firstBad(read int) int {
	begin := func(end int) int { return bytes.LastIndexByte(f.text[:max(0, end-1)], '\n') + 1 }
	bad := begin(read)
	for line, budget := bad, maxReparsed; budget > 0; line = begin(line) {
		if _, err := parseYAML(bytes.NewReader(f.text[:line])); err == nil {
			return line
		}
		budget -= line
	}
	return bad
}

// wholeLine is the spot of the line at an offset, without its indentation.
func (f *file) wholeLine(offset int) spot {
	before := bytes.TrimPrefix(f.text[:offset], byteOrderMark)
	return f.wholeLineAt(1 + len(lineBreak.FindAllIndex(before, -1)))
}

func (f *file) wholeLineAt(number int) spot {
	line := f.line(number)
	text := strings.Trim(line, " \t")
	return spot{line: number, col: 1 + strings.Index(line, text), width: max(1, utf8.RuneCountInString(text))}
}

// nodeSpot is where a node stands, and how long its first line is.
func nodeSpot(n *yaml.Node) spot {
	width := 1
	if n.Kind == yaml.ScalarNode || n.Kind == yaml.AliasNode {
		width = utf8.RuneCountInString(n.Value)
	}
	if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
		width += 2
	}
	if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 || n.Kind == yaml.AliasNode {
		width++
	}
	return spot{line: n.Line, col: n.Column, width: max(1, width)}
}

// validPrefix is the length of the part of the text that is UTF-8.
func validPrefix(text []byte) int {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return len(text)
}

// lineReader hands a text out line by line, so that it is known how far a reader got.
type lineReader struct {
	rest []byte
}

// Read implements io.Reader.
func (r *lineReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	end := bytes.IndexByte(r.rest, '\n') + 1
	if end == 0 {
		end = len(r.rest)
	}
	n := copy(p, r.rest[:end])
	r.rest = r.rest[n:]
	return n, nil
}
