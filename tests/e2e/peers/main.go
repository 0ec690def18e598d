// SPDX-License-Identifier: Apache-2.0

// The Go peer of the end-to-end tests: mutual TLS between SPIFFE identities on go-spiffe, as server and as client, from
// files; and go-spiffe's judgement of an SVID and a bundle.
//
//	gopeer serve  -listen ADDR -svid DIR -bundle DOMAIN=FILE… [-allow ID|DOMAIN|any]
//	gopeer get    -svid DIR -bundle DOMAIN=FILE… [-expect ID|DOMAIN] [-sni NAME] [-tls 1.2|1.3] [-alpn P,P] ADDR PATH
//	gopeer legacy-get  -svid DIR -ca FILE -sni NAME … ADDR PATH     a client that knows DNS names only
//	gopeer verify -svid DIR -bundle DOMAIN=FILE…
//
// DIR has tls.crt and tls.key, read anew for each handshake. FILE is a SPIFFE bundle (.jwks) or PEM. The server answers
//
//	/whoami      one line: saw=ID of the client, the TLS version, ALPN and SNI
//	/noise/N     N bytes
//	PUT          the SHA-256 of what came
//
// The client prints the body, and on standard error such a line about the server, "server=ID …".
package main

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
)

// folder is an SVID in files; the latest is what counts.
type folder string

func (dir folder) GetX509SVID() (*x509svid.SVID, error) {
	return x509svid.Load(filepath.Join(string(dir), "tls.crt"), filepath.Join(string(dir), "tls.key"))
}

// bundles collects -bundle DOMAIN=FILE.
type bundles struct{ set *x509bundle.Set }

func (b *bundles) String() string { return "" }

func (b *bundles) Set(value string) error {
	name, file, found := strings.Cut(value, "=")
	if !found {
		return errors.New("DOMAIN=FILE is wanted")
	}
	domain, err := spiffeid.TrustDomainFromString(name)
	if err != nil {
		return err
	}
	var bundle *x509bundle.Bundle
	if strings.HasSuffix(file, ".jwks") {
		whole, err := spiffebundle.Load(domain, file)
		if err != nil {
			return err
		}
		bundle = whole.X509Bundle()
	} else if bundle, err = x509bundle.Load(domain, file); err != nil {
		return err
	}
	b.set.Add(bundle)
	return nil
}

// authorizer takes a whole ID, a trust domain's name, or "any".
func authorizer(text string) (tlsconfig.Authorizer, error) {
	if text == "any" {
		return tlsconfig.AuthorizeAny(), nil
	}
	if strings.HasPrefix(text, "spiffe://") {
		id, err := spiffeid.FromString(text)
		return tlsconfig.AuthorizeID(id), err
	}
	domain, err := spiffeid.TrustDomainFromString(text)
	return tlsconfig.AuthorizeMemberOf(domain), err
}

// identity says who a certificate is: its URI, or its first DNS name.
func identity(certificates []*x509.Certificate) string {
	if len(certificates) == 0 {
		return "none"
	}
	if uris := certificates[0].URIs; len(uris) > 0 {
		return uris[0].String()
	}
	if names := certificates[0].DNSNames; len(names) > 0 {
		return "DNS:" + names[0]
	}
	return "nameless"
}

func report(state tls.ConnectionState) string {
	return fmt.Sprintf("%s version=%q alpn=%q sni=%q", identity(state.PeerCertificates), tls.VersionName(state.Version),
		state.NegotiatedProtocol, state.ServerName)
}

func answer(out http.ResponseWriter, request *http.Request) {
	if request.Method == http.MethodPut {
		hash := sha256.New()
		if _, err := io.Copy(hash, request.Body); err != nil {
			return
		}
		fmt.Fprintf(out, "%x\n", hash.Sum(nil))
		return
	}
	if size, found := strings.CutPrefix(request.URL.Path, "/noise/"); found {
		n, err := strconv.ParseInt(size, 10, 64)
		if err != nil {
			http.Error(out, err.Error(), http.StatusBadRequest)
			return
		}
		block := make([]byte, 64<<10)
		for i := range block {
			block[i] = byte(i * 7)
		}
		for ; n > 0; n -= int64(len(block)) {
			if _, err := out.Write(block[:min(n, int64(len(block)))]); err != nil {
				return
			}
		}
		return
	}
	fmt.Fprintln(out, "saw="+report(*request.TLS))
}

func serve(listen string, svid folder, known *x509bundle.Set, allow string) error {
	who, err := authorizer(allow)
	if err != nil {
		return err
	}
	config := tlsconfig.MTLSServerConfig(svid, known, who)
	config.NextProtos = []string{"h2", "http/1.1"}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: http.HandlerFunc(answer), TLSConfig: config}
	return server.ServeTLS(listener, "", "")
}

type client struct {
	config    *tls.Config
	sni, alpn string
	version   string
}

func (c *client) get(address, path string) error {
	c.config.ServerName = c.sni
	if c.alpn != "" {
		c.config.NextProtos = strings.Split(c.alpn, ",")
	}
	switch c.version {
	case "1.2":
		c.config.MaxVersion = tls.VersionTLS12
	case "1.3":
		c.config.MinVersion = tls.VersionTLS13
	}
	connection, err := tls.Dial("tcp", address, c.config)
	if err != nil {
		return err
	}
	defer connection.Close()
	fmt.Fprintln(os.Stderr, "server="+report(connection.ConnectionState()))
	host := c.sni
	if host == "" {
		host = "peer"
	}
	// By hand, so that it is one connection and no protocol but HTTP/1.1, whatever ALPN said.
	fmt.Fprintf(connection, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, host)
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err = io.Copy(os.Stdout, response.Body); err == nil && response.StatusCode != http.StatusOK {
		err = errors.New(response.Status)
	}
	return err
}

func verify(svid folder, known *x509bundle.Set) error {
	own, err := svid.GetX509SVID()
	if err != nil {
		return err
	}
	id, _, err := x509svid.Verify(own.Certificates, known)
	if err == nil {
		fmt.Println("verified", id)
	}
	return err
}

func legacyConfig(svid folder, file string) (*tls.Config, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(string(svid), "tls.crt"), filepath.Join(string(svid), "tls.key"))
	roots := x509.NewCertPool()
	if err == nil && !roots.AppendCertsFromPEM(pem) {
		err = errors.New(file + ": no certificate")
	}
	return &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}, err
}

func run(arguments []string) error {
	if len(arguments) == 0 {
		return errors.New("serve, get, legacy-get or verify")
	}
	known := bundles{x509bundle.NewSet()}
	flags := flag.NewFlagSet(arguments[0], flag.ExitOnError)
	listen := flags.String("listen", ":8443", "where to listen")
	svid := flags.String("svid", "", "folder with tls.crt and tls.key")
	allow := flags.String("allow", "any", "whom to serve")
	expect := flags.String("expect", "any", "who the server must be")
	ca := flags.String("ca", "", "legacy-get: PEM of whom to trust")
	var c client
	flags.StringVar(&c.sni, "sni", "", "server name")
	flags.StringVar(&c.alpn, "alpn", "", "protocols to offer")
	flags.StringVar(&c.version, "tls", "", "1.2 or 1.3 only")
	flags.Var(&known, "bundle", "DOMAIN=FILE")
	if err := flags.Parse(arguments[1:]); err != nil {
		return err
	}
	switch arguments[0] {
	case "serve":
		return serve(*listen, folder(*svid), known.set, *allow)
	case "verify":
		return verify(folder(*svid), known.set)
	case "get":
		who, err := authorizer(*expect)
		if err != nil {
			return err
		}
		c.config = tlsconfig.MTLSClientConfig(folder(*svid), known.set, who)
	case "legacy-get":
		config, err := legacyConfig(folder(*svid), *ca)
		if err != nil {
			return err
		}
		c.config = config
	default:
		return errors.New("serve, get, legacy-get or verify, not " + arguments[0])
	}
	if flags.NArg() != 2 {
		return errors.New("ADDR and PATH are wanted")
	}
	return c.get(flags.Arg(0), flags.Arg(1))
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "gopeer:", err)
		os.Exit(1)
	}
}
