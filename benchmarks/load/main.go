// Load generator for any server that speaks etcd v3, built on etcd's own Go client.
//
// Each of -clients goroutines does one operation after another on one of -conns shared connections, on keys
// drawn from a seeded generator. Operations begun during -warmup are done but not counted. With -json the
// result is one line of JSON.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/clientv3"
)

type result struct {
	Op           string  `json:"op"`
	Clients      int     `json:"clients"`
	Seconds      float64 `json:"seconds"`
	Ops          int     `json:"ops"`
	Errors       int64   `json:"errors"`
	FirstError   string  `json:"first_error,omitempty"`
	OpsPerSecond float64 `json:"ops_per_second"`
	P50Ms        float64 `json:"p50_ms"`
	P90Ms        float64 `json:"p90_ms"`
	P99Ms        float64 `json:"p99_ms"`
	MaxMs        float64 `json:"max_ms"`
}

var (
	endpoints   = flag.String("endpoints", "127.0.0.1:2379", "comma-separated list of the servers' client addresses")
	conns       = flag.Int("conns", 4, "connections, shared by the clients")
	clients     = flag.Int("clients", 64, "operations in flight")
	secs        = flag.Float64("secs", 5, "measured seconds")
	warmup      = flag.Float64("warmup", 0, "seconds before that, not measured")
	size        = flag.Int("size", 256, "bytes of each value")
	keys        = flag.Int("keys", 10000, "distinct keys")
	op          = flag.String("op", "put", "put | get (linearizable) | sget (serializable) | mix (put and get) | fill (put each key once)")
	opTimeout   = flag.Duration("op-timeout", 10*time.Second, "limit of one operation")
	dialTimeout = flag.Duration("dial-timeout", 5*time.Second, "limit for each connection's first answer")
	asJSON      = flag.Bool("json", false, "print one line of JSON")
)

func main() {
	flag.Parse()
	switch *op {
	case "put", "get", "sget", "mix", "fill":
	default:
		fail("-op %q is none of put, get, sget, mix, fill", *op)
	}
	r := run(connect())
	if *asJSON {
		if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
			fail("%v", err)
		}
	} else {
		fmt.Printf("%s clients=%d ops/s=%.0f p50=%.2fms p90=%.2fms p99=%.2fms max=%.1fms errs=%d %s\n", r.Op, r.Clients,
			r.OpsPerSecond, r.P50Ms, r.P90Ms, r.P99Ms, r.MaxMs, r.Errors, r.FirstError)
	}
}

// connect opens the connections and waits until each has had an answer, so that no set-up is measured.
func connect() []*clientv3.Client {
	var opened []*clientv3.Client
	for i := 0; i < *conns; i++ {
		c, err := clientv3.New(clientv3.Config{Endpoints: strings.Split(*endpoints, ","), DialTimeout: *dialTimeout})
		if err != nil {
			fail("connecting to %s: %v", *endpoints, err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), *dialTimeout)
		_, err = c.Get(ctx, "key", clientv3.WithSerializable())
		cancel()
		if err != nil {
			fail("no answer from %s: %v", *endpoints, err)
		}
		opened = append(opened, c)
	}
	return opened
}

func run(opened []*clientv3.Client) result {
	val := strings.Repeat("v", *size)
	var errs, filled int64
	var firstError atomic.Value
	lats := make([][]float64, *clients)
	start := time.Now().Add(time.Duration(*warmup * float64(time.Second)))
	end := start.Add(time.Duration(*secs * float64(time.Second)))
	var wg sync.WaitGroup
	for i := 0; i < *clients; i++ {
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			r := rand.New(rand.NewSource(int64(i)))
			c := opened[i%len(opened)]
			for *op == "fill" || time.Now().Before(end) {
				n := r.Intn(*keys)
				if *op == "fill" {
					if n = int(atomic.AddInt64(&filled, 1)) - 1; n >= *keys {
						return
					}
				}
				s := time.Now()
				err := operate(c, r, fmt.Sprintf("key%08d", n), val)
				if err != nil {
					if atomic.AddInt64(&errs, 1) == 1 {
						firstError.Store(err.Error())
					}
					continue
				}
				if *op == "fill" || !s.Before(start) {
					lats[i] = append(lats[i], time.Since(s).Seconds()*1e3)
				}
			}
		}(i)
	}
	wg.Wait()
	r := result{Op: *op, Clients: *clients, Errors: errs, Seconds: time.Since(start).Seconds()}
	r.FirstError, _ = firstError.Load().(string)
	summarize(&r, lats)
	return r
}

func operate(c *clientv3.Client, r *rand.Rand, key, val string) error {
	ctx, cancel := context.WithTimeout(context.Background(), *opTimeout)
	defer cancel()
	var err error
	switch {
	case *op == "put" || *op == "fill" || (*op == "mix" && r.Intn(2) == 0):
		_, err = c.Put(ctx, key, val)
	case *op == "sget":
		_, err = c.Get(ctx, key, clientv3.WithSerializable())
	default:
		_, err = c.Get(ctx, key)
	}
	return err
}

func summarize(r *result, lats [][]float64) {
	var all []float64
	for _, l := range lats {
		all = append(all, l...)
	}
	sort.Float64s(all)
	if r.Ops = len(all); r.Ops == 0 {
		return
	}
	r.OpsPerSecond = float64(r.Ops) / r.Seconds
	r.P50Ms, r.P90Ms, r.P99Ms = all[r.Ops/2], all[r.Ops*90/100], all[r.Ops*99/100]
	r.MaxMs = all[r.Ops-1]
}

func fail(format string, args ...interface{}) {
	fmt.Fprintf(os.Stderr, "load: "+format+"\n", args...)
	os.Exit(1)
}
