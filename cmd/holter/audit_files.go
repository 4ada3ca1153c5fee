package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holter-ha/holter/console"
	"github.com/holter-ha/holter/internal/audit"
)

func newAuditVerifyCommand(a *app) *cobra.Command {
	var link string
	cmd := &cobra.Command{
		Use: "verify FILE|DIR…", Short: "Prove that audit files are as they were written",
		Long: `Prove that audit files are as they were written: every link of the chain is computed, and the first line that is wrong
is named. Give the files of several monitors, or their data directories, and they are compared with each other.

It needs no cluster. With --server or HOLTER_SERVER it asks a monitor for the chain of the cluster and compares the end;
without, nobody can tell whether lines are missing at the end, or whether all was written anew. A link that was noted
earlier (GET /v1/audit/chain) does as well: --link INDEX:CHAIN.

Exit code 15: a file was changed, or does not say what the others or the cluster say. Gaps are shown, they are no change.`,
		Example: "  holter audit verify /var/lib/holter\n  holter audit verify mon-1/ mon-2/ mon-3/ --server mon-1:7470",
		Args:    someFiles,
		RunE:    func(cmd *cobra.Command, args []string) error { return a.verifyFiles(cmd.Context(), args, link) },
	}
	cmd.Flags().StringVar(&link, "link", "", "a link that was noted earlier, in place of the cluster's: INDEX:CHAIN")
	return cmd
}

func someFiles(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usage("%s needs files", cmd.CommandPath())
	}
	return nil
}

func (a *app) verifyFiles(ctx context.Context, args []string, link string) error {
	cluster, err := a.trusted(ctx, link) // before the files are read: what they end with may be newer, not older
	if err != nil {
		return err
	}
	sources, done, err := a.auditSources(args)
	if err != nil {
		return err
	}
	defer done()
	report, err := audit.Verify(sources, cluster)
	if err != nil {
		return err
	}
	if a.asJSON() {
		meta := console.Meta{APIVersion: console.APIVersion, Kind: "AuditReport"}
		if err := a.printDoc(console.Doc[*audit.Report]{Meta: meta, Item: report}); err != nil {
			return err
		}
	} else {
		for _, trail := range report.Trails {
			a.showTrail(trail, cluster)
		}
		for _, differ := range report.Differ {
			a.printf("%s\n", a.style.paint(roleError, "DIFFERENT: "+differ))
		}
	}
	return tampered(report)
}

// tampered ends with the code of its own when something is wrong. What it is was shown.
func tampered(report *audit.Report) error {
	if report.Broken() {
		return ended(console.ExitTampered)
	}
	return nil
}

func (a *app) showTrail(t *audit.Trail, cluster *audit.Cluster) {
	files := "1 file"
	if len(t.Files) != 1 {
		files = fmt.Sprintf("%d files", len(t.Files))
	}
	a.printf("%s: %d entries, %d of them refused, after #%d up to #%d, in %s\n", t, t.Entries, t.Refused, t.Begin.Index, t.End.Index, files)
	for _, gap := range t.Gaps {
		what := "nobody confirms what follows"
		switch {
		case gap.Closed != "":
			what = "the files of " + gap.Closed + " have it"
		case gap.Confirmed:
			what = "what follows is confirmed"
		}
		a.printf("  gap from #%d to #%d (%s): %s\n", gap.From, gap.To, gap.Why, what)
	}
	if t.Torn != "" {
		a.printf("  %s has no end: it is being written, or a crash has cut it\n", t.Torn)
	}
	switch {
	case t.Broken != nil:
		a.printf("  %s\n", a.style.paint(roleError, "BROKEN: "+t.Broken.String()))
	case t.Cluster == audit.Agrees:
		a.printf("  every link holds, and the link at #%d is confirmed\n", cluster.Index)
	case t.Cluster == audit.Differs:
		a.printf("  %s\n", a.style.paint(roleError, fmt.Sprintf("DIFFERENT: the link at #%d is another one", cluster.Index)))
	case t.Cluster == audit.Behind:
		a.printf("  every link holds; the link to compare with is at #%d, which is not in it: take a newer copy\n", cluster.Index)
	default:
		a.printf("  every link holds; there is no link to compare the end with (--server)\n")
	}
}

// trusted is the link that files are compared with: one that was noted, or the cluster's.
func (a *app) trusted(ctx context.Context, link string) (*audit.Cluster, error) {
	if link == "" {
		return a.clusterChain(ctx)
	}
	index, chain, _ := strings.Cut(link, ":")
	n, err := strconv.ParseUint(index, 10, 64)
	if raw, notHex := hex.DecodeString(chain); err != nil || notHex != nil || len(raw) != sha256.Size {
		return nil, usage("--link is %q; it must be an index, a colon and 64 hex digits", link)
	}
	return &audit.Cluster{Point: audit.Point{Index: n, Chain: strings.ToLower(chain)}, Noted: true}, nil
}

// clusterChain asks a monitor for its chain, if one was named. That none answers is an error only for --server.
func (a *app) clusterChain(ctx context.Context) (*audit.Cluster, error) {
	if len(a.flags.servers) == 0 && a.env("HOLTER_SERVER") == "" {
		return nil, nil //nolint:nilnil // nobody is to be asked
	}
	client := a.client()
	defer client.Close()
	ctx, cancel := a.asking(ctx)
	defer cancel()
	chain, err := client.AuditChain(ctx)
	if err != nil && len(a.flags.servers) == 0 {
		a.say("the files are not compared with the cluster: %v", err)
		return nil, nil //nolint:nilnil // nobody can be asked
	}
	if err != nil {
		return nil, err
	}
	c := chain.Item
	return &audit.Cluster{Point: audit.Point{Index: c.Index, Chain: c.Chain}, From: c.From}, nil
}

// auditSources opens files; of a directory those that a monitor keeps there.
func (a *app) auditSources(args []string) (sources []audit.Source, done func(), err error) {
	var files []*os.File
	done = func() {
		for _, f := range files {
			_ = f.Close() // it was read only
		}
	}
	for _, arg := range args {
		if arg == "-" {
			sources = append(sources, audit.Source{Name: "standard input", R: a.in})
			continue
		}
		names, err := auditFiles(arg)
		if err != nil {
			done()
			return nil, nil, err
		}
		for _, name := range names {
			f, err := os.Open(name)
			if err != nil {
				done()
				return nil, nil, err
			}
			files = append(files, f)
			sources = append(sources, audit.Source{Name: name, R: f})
		}
	}
	return sources, done, nil
}

func auditFiles(arg string) ([]string, error) {
	info, err := os.Stat(arg)
	if err != nil || !info.IsDir() {
		return []string{arg}, err
	}
	names, err := filepath.Glob(filepath.Join(escaped(arg), "audit*.jsonl"))
	if err == nil && len(names) == 0 {
		err = fmt.Errorf("there is no audit file in %s", arg)
	}
	return names, err
}

// escaped is a path as a pattern that means just it.
func escaped(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}

func newAuditExportCommand(a *app) *cobra.Command {
	var within audit.Range
	cmd := &cobra.Command{
		Use: "export [FILE|DIR…]", Short: "Write the audit trail as JSON lines, to be kept elsewhere",
		Long: `Write the audit trail as JSON lines, to be kept elsewhere.

Of files, or of the data directories of one monitor or several: what they prove, as one file in which the monitors fill
each other's gaps, and that "holter audit verify" reads as well. Without files: the events that the monitors still have,
which have no links and do not show what was refused.`,
		Example: "  holter audit export /var/lib/holter > audit-2026-11.jsonl\n  holter audit export mon-1/ mon-2/ --from 1200 --to 3400\n  holter audit export",
		RunE: func(cmd *cobra.Command, args []string) error {
			if within.To != 0 && within.From > within.To {
				return usage("--from is %d and --to is %d", within.From, within.To)
			}
			if len(args) == 0 {
				return a.exportEvents(cmd.Context(), within)
			}
			return a.exportFiles(args, within)
		},
	}
	cmd.Flags().Uint64Var(&within.From, "from", 0, "the first index (default: the first there is)")
	cmd.Flags().Uint64Var(&within.To, "to", 0, "the last index (default: the last there is)")
	return cmd
}

func (a *app) exportFiles(args []string, within audit.Range) error {
	sources, done, err := a.auditSources(args)
	if err != nil {
		return err
	}
	defer done()
	report, err := audit.Export(a.raw, sources, within)
	if err != nil {
		return err
	}
	var wrong []error
	for _, trail := range report.Trails {
		if trail.Broken != nil {
			wrong = append(wrong, errors.New(trail.Broken.String()))
		}
	}
	for _, differ := range report.Differ {
		wrong = append(wrong, errors.New(differ))
	}
	if len(wrong) > 0 {
		what := "only what stands before it was exported"
		if len(report.Differ) > 0 {
			what = "nothing was exported"
		}
		return withExit(console.ExitTampered, fmt.Errorf("%w; %s", errors.Join(wrong...), what))
	}
	return nil
}

// exportEvents writes the events that the monitors still have.
func (a *app) exportEvents(ctx context.Context, within audit.Range) error {
	client := a.client()
	defer client.Close()
	ctx, cancel := a.asking(ctx)
	defer cancel()
	list, err := allEvents(ctx, client, max(within.From, 1)-1)
	if err != nil {
		return err
	}
	a.out, a.flags.output = a.raw, outJSONL
	for _, e := range list.Items {
		if within.To != 0 && e.Index > within.To {
			break
		}
		if err := a.printDoc(e); err != nil {
			return err
		}
	}
	return nil
}
