package console

import (
	"context"
	"net/http"
)

// ChainItem is the hash chain of the log as one monitor has it: what audit files are compared with.
type ChainItem struct {
	Monitor string `json:"monitor"`
	Index   uint64 `json:"index"` // of the last entry applied there
	Chain   string `json:"chain"` // its link, 64 hex digits
	// From is the index after which the chain begins: 0, unless the cluster is older than chains.
	From uint64 `json:"from"`
}

// getChain answers with this monitor's own chain, whoever leads: the point is to compare the monitors.
func (s *Server) getChain(w http.ResponseWriter, _ *http.Request) {
	look := s.monitor.Look()
	item := ChainItem{Monitor: look.Self, Index: look.State.Index, Chain: look.State.Chain, From: look.State.ChainFrom}
	s.write(w, http.StatusOK, doc(look, "AuditChain", item))
}

// AuditChain asks the first monitor that answers for its chain.
func (c *Client) AuditChain(ctx context.Context) (Doc[ChainItem], error) {
	return get[Doc[ChainItem]](ctx, c, "/v1/audit/chain")
}
