package console

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// Examiner is what the server needs of a monitor that can tell of its own process and machine.
type Examiner interface{ Examine() Self }

// Self is what one monitor knows of itself alone.
type Self struct {
	Monitor      string            `json:"monitor"`
	Version      string            `json:"version"`
	Wall         Time              `json:"wall"` // its wall clock
	Certificates []CertificateItem `json:"certificates"`
	Disk         DiskItem          `json:"disk"`
	Audit        string            `json:"audit,omitempty"` // why its audit file cannot be written; empty: it can
	NATS         NATSItem          `json:"nats"`
}

// CertificateItem is until when a certificate is good.
type CertificateItem struct {
	Holder  string `json:"holder"` // monitor, issuer, root
	Expires Time   `json:"expires"`
}

// DiskItem is the disk of a data directory.
type DiskItem struct {
	Dir     string `json:"dir"`
	Free    uint64 `json:"free"`              // bytes, for this monitor
	Total   uint64 `json:"total"`             // bytes; 0: not known here
	Least   uint64 `json:"least"`             // below this it does not lead; 0: it never looks
	Trouble string `json:"trouble,omitempty"` // why its log cannot be written; empty: it can
}

// NATSItem is how the monitor reaches its bus.
type NATSItem struct {
	Connected bool     `json:"connected"`
	Foreign   bool     `json:"foreign"` // not embedded: somebody's own, which must be told who may do what
	Addresses []string `json:"addresses"`
	NKey      string   `json:"nkey,omitempty"` // public: by which a foreign one knows the monitor
}

// getSelf answers of this monitor alone, whoever leads.
func (s *Server) getSelf(w http.ResponseWriter, r *http.Request) {
	look := s.monitor.Look()
	examiner, ok := s.monitor.(Examiner)
	if !ok {
		s.fail(w, look, noSuch("way of the API", r.Method+" "+r.URL.Path, ""))
		return
	}
	s.write(w, http.StatusOK, doc(look, "Self", examiner.Examine()))
}

// Self asks the first monitor that answers for itself.
func (c *Client) Self(ctx context.Context) (Doc[Self], error) {
	return get[Doc[Self]](ctx, c, "/v1/self")
}

// authoritySoon is when an authority that ends is told of: nobody renews it by itself.
const authoritySoon = 180 * 24 * time.Hour

// room is an amount of them for people.
func room(n uint64) string {
	const mib, gib = 1 << 20, 1 << 30
	if n >= 10*gib {
		return fmt.Sprintf("%d GiB", n/gib)
	}
	return fmt.Sprintf("%d MiB", n/mib)
}

// Findings says what is wrong with one monitor by its own word, at a time.
func (s Self) Findings(now time.Time) []Finding {
	var list []Finding
	disk := &findings{check: CheckDisk}
	switch d := s.Disk; {
	case d.Trouble != "":
		disk.add(GradeCritical, s.Monitor, fmt.Sprintf("monitor %s cannot lead: %s", s.Monitor, d.Trouble), "on "+s.Monitor+": df -h "+d.Dir)
	case d.Total == 0:
		disk.add(GradeNote, s.Monitor, fmt.Sprintf("monitor %s does not know how full its disk is", s.Monitor), "")
	case d.Free < d.Least:
		disk.add(GradeCritical, s.Monitor, fmt.Sprintf("the disk of %s on %s has %s free, and it does not lead below %s", d.Dir, s.Monitor, room(d.Free), room(d.Least)), "free some there")
	case d.Free < 2*d.Least || d.Free < d.Total/20:
		disk.add(GradeWarning, s.Monitor, fmt.Sprintf("the disk of %s on %s has %s of %s free", d.Dir, s.Monitor, room(d.Free), room(d.Total)), "free some there")
	}
	if s.Audit != "" {
		disk.add(GradeCritical, s.Monitor, fmt.Sprintf("monitor %s cannot write its audit file: %s", s.Monitor, s.Audit), "mend its disk; what it could not keep another monitor has: holter audit verify")
	}
	list = append(list, disk.orOK(fmt.Sprintf("%s has %s of %s free for its log", s.Monitor, room(s.Disk.Free), room(s.Disk.Total)))...)
	for _, cert := range s.Certificates {
		if left := cert.Expires.Sub(now); cert.Holder != "monitor" && left < authoritySoon {
			list = append(list, Finding{
				CheckCertificates, GradeWarning, s.Monitor,
				fmt.Sprintf("the certificate of the %s of %s, by which all others are signed, expires in %s, at %s", cert.Holder, s.Monitor, days(left), day(cert.Expires.Time)),
				"docs/operations.md, certificates",
			})
		}
	}
	if !s.NATS.Connected {
		list = append(list, Finding{CheckPorts, GradeCritical, s.Monitor, fmt.Sprintf("monitor %s does not reach NATS: it hears nobody", s.Monitor), "holter status"})
	}
	return list
}
