// Command start is the first process of the image that Complement runs.
//
// Complement says in $SERVER_NAME who the server is, and lays an authority's certificate and key below /complement/ca. From these, start issues the
// server's certificate, writes its configuration, and becomes the server. It does so each time the container starts; the data stay.
package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// Where Complement puts what it gives to a server.
	authority  = "/complement/ca/ca.crt"
	authorised = "/complement/ca/ca.key"

	// Where things lie in the image.
	server        = "/myelin"
	configuration = "/myelin.toml"
	certificate   = "/tls/certificate.pem"
	key           = "/tls/key.pem"
)

func main() {
	if err := prepare(os.Getenv("SERVER_NAME")); err != nil {
		fmt.Fprintln(os.Stderr, "start:", err)
		os.Exit(1)
	}
	err := syscall.Exec(server, []string{server, "--config", configuration}, os.Environ())
	fmt.Fprintln(os.Stderr, "start: cannot become the server:", err)
	os.Exit(1)
}

func prepare(name string) error {
	if name == "" {
		return fmt.Errorf("SERVER_NAME is not set")
	}
	if err := certify(name); err != nil {
		return fmt.Errorf("cannot make a certificate for %s: %w", name, err)
	}
	return os.WriteFile(configuration, []byte(configure(name)), 0o600)
}

// certify issues a certificate for the server, signed by Complement's authority.
func certify(name string) error {
	parentBlock, err := read(authority)
	if err != nil {
		return err
	}
	parent, err := x509.ParseCertificate(parentBlock.Bytes)
	if err != nil {
		return err
	}
	parentKeyBlock, err := read(authorised)
	if err != nil {
		return err
	}
	parentKey, err := x509.ParsePKCS1PrivateKey(parentKeyBlock.Bytes)
	if err != nil {
		return err
	}
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		DNSNames:     []string{name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(7 * 24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, parent, own.Public(), parentKey)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(certificate), 0o700); err != nil {
		return err
	}
	if err := write(key, &pem.Block{Type: "PRIVATE KEY", Bytes: secret}); err != nil {
		return err
	}
	return write(certificate, &pem.Block{Type: "CERTIFICATE", Bytes: signed}, parentBlock)
}

func read(path string) (*pem.Block, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s is not in PEM form", path)
	}
	return block, nil
}

func write(path string, blocks ...*pem.Block) error {
	var text bytes.Buffer
	for _, block := range blocks {
		if err := pem.Encode(&text, block); err != nil {
			return err
		}
	}
	return os.WriteFile(path, text.Bytes(), 0o600)
}

// configure says what a server among tests needs: no limits, cheap passwords, and anybody's registration.
func configure(name string) string {
	var text strings.Builder
	fmt.Fprintf(&text, "server_name = %s\n", strconv.Quote(name))
	text.WriteString(`
[listen]
addresses = ["0.0.0.0:8008"]

[storage]
path = "/data"

[registration]
enabled = true
open = true
guests = true
shared_secret = "complement"

[passwords]
memory = "8 KiB"
passes = 1
min_length = 1

# Some tests fetch files as clients did before Matrix 1.11.
[media]
unauthenticated = true

# Many tests give power to whoever created a room, which room version 12 refuses.
[rooms]
default_version = "11"

[limits]
rates = false

[log]
level = "info"

# Complement's servers live on private networks and vouch for each other.
[federation]
notaries = []
denied_addresses = []
`)
	fmt.Fprintf(&text, "extra_root_certificates = [%s]\n", strconv.Quote(authority))
	fmt.Fprintf(&text, `
[tls]
addresses = ["0.0.0.0:8448"]
certificate = %s
key = %s
`, strconv.Quote(certificate), strconv.Quote(key))
	return text.String()
}
