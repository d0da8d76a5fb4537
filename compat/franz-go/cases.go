// Cases of a client program: run one after the other, a line each on stdout.
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"
)

const (
	// A case that has not ended by then has failed; Apache Kafka on a busy machine is the measure.
	caseMax = 90 * time.Second
	waitMax = 30 * time.Second
)

type body func(ctx context.Context, address string) error

type namedCase struct {
	name string
	body body
}

var cases []namedCase

func add(name string, body body) {
	cases = append(cases, namedCase{name, body})
}

// unique is a name that no other case uses.
func unique(prefix string) string {
	var bytes [6]byte
	_, _ = rand.Read(bytes[:]) // it never fails
	return prefix + "-" + hex.EncodeToString(bytes[:])
}

// equal is an error with both values unless they are equal.
func equal(found, expected any) error {
	if reflect.DeepEqual(found, expected) {
		return nil
	}
	return fmt.Errorf("found %v, expected %v", found, expected)
}

// eventually repeats an attempt until it holds.
func eventually(ctx context.Context, what string, attempt func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, waitMax)
	defer cancel()
	for {
		holds, err := attempt()
		if holds && err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not within %s: %s (%v)", waitMax, what, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// first is the first of several errors.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func runCase(body body, address string) error {
	ctx, cancel := context.WithTimeout(context.Background(), caseMax)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- body(ctx, address) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("not done after %s", caseMax)
	}
}

// main runs `PROGRAM ADDRESS [TEXT]`: the cases with the text in their name, or all.
func main() {
	wanted := ""
	if len(os.Args) > 2 {
		wanted = os.Args[2]
	}
	for _, one := range cases {
		if !strings.Contains(one.name, wanted) {
			continue
		}
		if err := runCase(one.body, os.Args[1]); err != nil {
			fmt.Printf("FAIL %s: %s\n", one.name, strings.Join(strings.Fields(err.Error()), " "))
		} else {
			fmt.Printf("PASS %s\n", one.name)
		}
	}
}
