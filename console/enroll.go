package console

import "context"

// EnrollRequest lets the agent of an invited host enrol, once.
type EnrollRequest struct {
	Host    string `json:"host"`
	Secret  string `json:"secret"`  // of the invitation
	Request string `json:"request"` // for a certificate, PEM
	NKey    string `json:"nkey"`    // public
}

// Enrolled is what an agent needs to reach the monitors, beside its own keys.
type Enrolled struct {
	Certificate string   `json:"certificate"` // with what links it to the root, PEM
	Root        string   `json:"root"`        // PEM
	NATS        []string `json:"nats"`        // tls://host:port
	API         []string `json:"api"`         // https://host:port
}

// RenewRequest asks for a new certificate for the same holder and key.
type RenewRequest struct {
	Request string `json:"request"` // PEM
}

// Renewed is the new certificate.
type Renewed struct {
	Certificate string `json:"certificate"` // with what links it to the root, PEM
	Root        string `json:"root"`        // PEM
}

// Enroll enrols the agent of an invited host.
func (c *Client) Enroll(ctx context.Context, req EnrollRequest) (Doc[Enrolled], error) {
	return post[Doc[Enrolled]](ctx, c, "/v1/enroll", req)
}

// Renew asks for a new certificate for whoever's certificate the client shows.
func (c *Client) Renew(ctx context.Context, req RenewRequest) (Doc[Renewed], error) {
	return post[Doc[Renewed]](ctx, c, "/v1/renew", req)
}
