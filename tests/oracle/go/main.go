// SPDX-License-Identifier: Apache-2.0

// Compares Postern's SPIFFE ID parser with go-spiffe's (I4 of the identity matrix): the kept fuzz corpus, then IDs made
// at random by rules that come near the borders of the standard. Both must take the same IDs and see the same trust
// domain in them. Beyond the lengths that the standard wants supported, 2048 bytes and 255 of the domain, Postern refuses
// and go-spiffe doesn't; there nothing is compared.
//
//	spiffe-oracle -filter PROGRAM -corpus FOLDER [-n COUNT] [-seed NUMBER]
package main

import (
	"bufio"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

type filter struct {
	in  io.WriteCloser
	out *bufio.Reader
}

func startFilter(program string) (*filter, *exec.Cmd, error) {
	command := exec.Command(program)
	command.Stderr = os.Stderr
	in, err := command.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	return &filter{in, bufio.NewReader(out)}, command, command.Start()
}

// ask returns the verdict and, if it is "none", the trust domain's length.
func (f *filter) ask(id string) (string, int, error) {
	if _, err := fmt.Fprintln(f.in, hex.EncodeToString([]byte(id))); err != nil {
		return "", 0, err
	}
	line, err := f.out.ReadString('\n')
	if err != nil {
		return "", 0, err
	}
	var verdict string
	var domain int
	_, err = fmt.Sscanf(line, "%s %d", &verdict, &domain)
	return verdict, domain, err
}

// outOfReach says whether the ID is longer than what is compared.
func outOfReach(id string) bool {
	domain, _, _ := strings.Cut(strings.TrimPrefix(id, "spiffe://"), "/")
	return len(id) > 2048 || len(domain) > 255
}

func pick(random *rand.Rand, from string) string {
	return string(from[random.Intn(len(from))])
}

// anyID makes an ID that is nearly right: each part is mostly of good characters, and sometimes one is put in, taken
// out or changed.
func anyID(random *rand.Rand) string {
	const good = "abcdefghijklmnopqrstuvwxyz0123456789.-_"
	const bad = "AZ%/?#@:[]\\ \x00\x7f\x80\xff\n\t+~!$&'()*,;=\""
	schemes := []string{"spiffe://", "spiffe://", "spiffe://", "spiffe://", "spiffe://", "spiffe://", "spiffe:/", "Spiffe://", "http://", ""}
	segments := []string{"ns", "sa", ".", "..", "...", "", "A", "a.b", "%2e", "x-y_z"}
	text := schemes[random.Intn(len(schemes))]
	for i := random.Intn(12); i > 0; i-- {
		text += pick(random, good)
	}
	for i := random.Intn(4); i > 0; i-- {
		text += "/" + segments[random.Intn(len(segments))]
		for j := random.Intn(3); j > 0; j-- {
			text += pick(random, good+"ABZ")
		}
	}
	for i := random.Intn(3); i > 0 && len(text) > 0; i-- {
		at := random.Intn(len(text))
		switch random.Intn(3) {
		case 0:
			text = text[:at] + pick(random, bad) + text[at:]
		case 1:
			text = text[:at] + text[at+1:]
		default:
			text = text[:at] + string([]byte{byte(random.Intn(256))}) + text[at+1:]
		}
	}
	return text
}

func compare(f *filter, id string) error {
	verdict, domain, err := f.ask(id)
	if err != nil || outOfReach(id) {
		return err
	}
	theirs, wrong := spiffeid.FromString(id)
	if (verdict == "none") != (wrong == nil) {
		return fmt.Errorf("%q: we say %s, go-spiffe says %v", id, verdict, wrong)
	}
	if wrong == nil && len(theirs.TrustDomain().Name()) != domain {
		return fmt.Errorf("%q: our domain has %d bytes, go-spiffe's is %q", id, domain, theirs.TrustDomain().Name())
	}
	return nil
}

func run() error {
	program := flag.String("filter", "", "the parser as a filter")
	corpus := flag.String("corpus", "", "folder of IDs, one a file")
	count := flag.Int("n", 300000, "IDs made at random")
	seed := flag.Int64("seed", 1, "of the random numbers")
	flag.Parse()

	f, command, err := startFilter(*program)
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(*corpus, "*"))
	if err != nil {
		return err
	}
	for _, file := range files {
		id, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := compare(f, string(id)); err != nil {
			return err
		}
	}
	random, good := rand.New(rand.NewSource(*seed)), 0
	for i := 0; i < *count; i++ {
		id := anyID(random)
		if err := compare(f, id); err != nil {
			return err
		}
		if _, err := spiffeid.FromString(id); err == nil {
			good++
		}
	}
	f.in.Close()
	if err := command.Wait(); err != nil {
		return err
	}
	fmt.Printf("%d IDs of the corpus and %d random ones, %d of them good: the same verdicts\n", len(files), *count, good)
	return nil
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
