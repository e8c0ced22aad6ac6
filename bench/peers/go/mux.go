// Mux: hashicorp/yamux as server and as load of the mux races, with the same work as ../mux/work.ts.
//
//	mux server <tcp|tls> <bulk|counted|churn|idle> <folder>   prints its port
//	mux load <tcp|tls> <port> <folder> <plan as JSON>         prints what it measured, as JSON
//
// A stream of hashicorp/yamux cannot be read once this side has closed it. So a load in mode "bulk"
// says first how much it sends, and its server is one in mode "counted"; a server in mode "bulk"
// answers at the end of the stream, as loads of ../mux expect.
//
// Build it with hashicorp/yamux on the path, such as Debian's golang-github-hashicorp-yamux-dev:
// GOPATH=/usr/share/gocode GO111MODULE=off go build -o mux mux.go
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/yamux"
)

const blockBytes = 65536
const messageBytes = 64

var block = makeBlock()

func makeBlock() []byte {
	made := make([]byte, blockBytes)
	for at := range made {
		made[at] = byte(at*167 + at>>8)
	}
	return made
}

// plan is that of load.ts.
type plan struct {
	Mode    string  `json:"mode"`
	Streams int     `json:"streams"`
	Rounds  []int   `json:"rounds"`
	Seconds float64 `json:"seconds"`
	// ServerPid is the process whose processor time is measured with ours.
	ServerPid int `json:"serverPid"`
}

// measured is that of meter.ts: what was done a second, and the processor time of each unit.
type measured struct {
	PerSecond    float64 `json:"perSecond"`
	ServerMicros float64 `json:"serverMicros"`
	LoadMicros   float64 `json:"loadMicros"`
}

// meter measures from its making on.
type meter struct {
	begin        time.Time
	serverPid    int
	server, load float64
}

func newMeter(serverPid int) meter {
	return meter{time.Now(), serverPid, processorMicros(serverPid), processorMicros(os.Getpid())}
}

func (from meter) read(units float64) measured {
	return measured{
		units / time.Since(from.begin).Seconds(),
		(processorMicros(from.serverPid) - from.server) / units,
		(processorMicros(os.Getpid()) - from.load) / units,
	}
}

// processorMicros is the processor time of a process since its start; 0 where it is not published.
func processorMicros(pid int) float64 {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	ticks := 0.0
	for _, field := range strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+2:]))[11:13] {
		count, err := strconv.ParseFloat(field, 64)
		check(err)
		ticks += count
	}
	return ticks * 10000
}

func main() {
	log.SetFlags(0)
	arguments := os.Args[1:]
	if len(arguments) == 4 && arguments[0] == "server" {
		serve(arguments[1], arguments[2], arguments[3])
	} else if len(arguments) == 5 && arguments[0] == "load" {
		var what plan
		check(json.Unmarshal([]byte(arguments[4]), &what))
		found, err := json.Marshal(load(dial(arguments[1], arguments[2], arguments[3]), what))
		check(err)
		fmt.Println(string(found))
	} else {
		log.Fatal("Cannot run: see the head of mux.go")
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// limits are the defaults, with room for as many streams as the races open.
func limits() *yamux.Config {
	config := yamux.DefaultConfig()
	config.AcceptBacklog = 20000
	config.LogOutput = io.Discard
	return config
}

func serve(transport, mode, folder string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	if transport == "tls" {
		pair, err := tls.LoadX509KeyPair(folder+"/cert.pem", folder+"/key.pem")
		check(err)
		defer listener.Close()
		fmt.Println(listener.Addr().(*net.TCPAddr).Port)
		acceptAll(tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{pair}}), mode)
		return
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	acceptAll(listener, mode)
}

func acceptAll(listener net.Listener, mode string) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		session, err := yamux.Server(conn, limits())
		check(err)
		go func() {
			for {
				stream, err := session.Accept()
				if err != nil {
					return
				}
				go answer(stream, mode)
			}
		}()
	}
}

func dial(transport, port, folder string) *yamux.Session {
	conn, err := net.Dial("tcp", "127.0.0.1:"+port)
	check(err)
	if transport == "tls" {
		pem, err := os.ReadFile(folder + "/ca.pem")
		check(err)
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		conn = tls.Client(conn, &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"})
	}
	session, err := yamux.Client(conn, limits())
	check(err)
	return session
}

// answer checks and counts bulk; anything else comes back as it is.
func answer(stream net.Conn, mode string) {
	defer stream.Close()
	switch mode {
	case "bulk":
		reply(stream, receive(stream))
	case "counted":
		head := make([]byte, 8)
		_, err := io.ReadFull(stream, head)
		check(err)
		reply(stream, receive(io.LimitReader(stream, int64(binary.BigEndian.Uint64(head)))))
		_, _ = io.Copy(io.Discard, stream)
	default:
		buffer := make([]byte, 4096)
		for {
			length, err := stream.Read(buffer)
			if err != nil {
				return
			}
			if _, err := stream.Write(buffer[:length]); err != nil {
				return
			}
		}
	}
}

// receive checks all that comes, and returns how many bytes it was.
func receive(source io.Reader) int {
	buffer := make([]byte, blockBytes)
	for count := 0; ; {
		length, err := source.Read(buffer)
		compare(buffer[:length], count)
		count += length
		if err != nil {
			return count
		}
	}
}

// reply writes a count as a JavaScript program does.
func reply(stream net.Conn, count int) {
	bytes := make([]byte, 8)
	binary.BigEndian.PutUint64(bytes, math.Float64bits(float64(count)))
	_, err := stream.Write(bytes)
	check(err)
}

// compare looks at samples, as work.ts does.
func compare(chunk []byte, offset int) {
	for at := 0; at < len(chunk); at += 4093 {
		if chunk[at] != block[(offset+at)%blockBytes] {
			log.Fatalf("Byte %d is wrong", offset+at)
		}
	}
}

// load warms up, and measures what follows.
func load(session *yamux.Session, what plan) measured {
	switch what.Mode {
	case "bulk":
		last := len(what.Rounds) - 1
		for _, bytes := range what.Rounds[:last] {
			bulk(session, what.Streams, bytes)
		}
		from := newMeter(what.ServerPid)
		bulk(session, what.Streams, what.Rounds[last])
		return from.read(float64(what.Rounds[last]) / (1 << 20))
	case "churn":
		churn(session, what.Streams, 0.5)
		from := newMeter(what.ServerPid)
		return from.read(churn(session, what.Streams, what.Seconds))
	default:
		turn := openIdle(session, what.Streams)
		repeat(turn, 0.3)
		from := newMeter(what.ServerPid)
		return from.read(repeat(turn, what.Seconds))
	}
}

// repeat returns how often it did the work.
func repeat(work func(), seconds float64) float64 {
	count := 0
	for end := endAfter(seconds); time.Now().Before(end); count++ {
		work()
	}
	return float64(count)
}

func endAfter(seconds float64) time.Time {
	return time.Now().Add(time.Duration(seconds * float64(time.Second)))
}

func inParallel(width int, work func()) {
	var group sync.WaitGroup
	group.Add(width)
	for one := 0; one < width; one++ {
		go func() {
			defer group.Done()
			work()
		}()
	}
	group.Wait()
}

func bulk(session *yamux.Session, streams, bytes int) {
	each := bytes / streams
	inParallel(streams, func() {
		stream, err := session.Open()
		check(err)
		head := make([]byte, 8)
		binary.BigEndian.PutUint64(head, uint64(each))
		_, err = stream.Write(head)
		check(err)
		for sent := 0; sent < each; sent += blockBytes {
			_, err := stream.Write(block)
			check(err)
		}
		reply := make([]byte, 8)
		_, err = io.ReadFull(stream, reply)
		check(err)
		if count := int(math.Float64frombits(binary.BigEndian.Uint64(reply))); count != each {
			log.Fatalf("%d bytes arrived, not %d", count, each)
		}
		check(stream.Close())
	})
}

// churn opens, echoes a message and closes; it returns how many streams.
func churn(session *yamux.Session, width int, seconds float64) float64 {
	var done int64
	message := make([]byte, messageBytes)
	end := endAfter(seconds)
	inParallel(width, func() {
		for time.Now().Before(end) {
			stream, err := session.Open()
			check(err)
			_, err = stream.Write(message)
			check(err)
			_, err = io.ReadFull(stream, make([]byte, messageBytes))
			check(err)
			check(stream.Close())
			atomic.AddInt64(&done, 1)
		}
	})
	return float64(done)
}

// openIdle opens streams that carry a message each, and returns one turn of ping-pong beside them.
func openIdle(session *yamux.Session, idle int) func() {
	message := make([]byte, messageBytes)
	var last func()
	for open := 0; open <= idle; open++ {
		stream, err := session.Open()
		check(err)
		last = func() {
			_, err := stream.Write(message)
			check(err)
			_, err = io.ReadFull(stream, message)
			check(err)
		}
		last()
	}
	return last
}
