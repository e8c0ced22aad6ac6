// Echo server in Go: `echo <tcp|tls> <folder>` prints its port and returns each line. What is read
// at once is answered in one write.
package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"os"
)

const maxLineBytes = 1 << 16

func main() {
	backend, folder := os.Args[1], os.Args[2]
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	if backend == "tls" {
		certificate, err := tls.LoadX509KeyPair(folder+"/cert.pem", folder+"/key.pem")
		check(err)
		config := &tls.Config{Certificates: []tls.Certificate{certificate}}
		listener = tls.NewListener(listener, config)
	}
	for {
		conn, err := listener.Accept()
		check(err)
		go echo(conn)
	}
}

func echo(conn net.Conn) {
	defer conn.Close()
	reader := bufio.NewReader(conn)
	writer := bufio.NewWriter(conn)
	for {
		line, err := readLine(reader)
		if err != nil {
			return
		}
		writer.Write(line)
		if reader.Buffered() == 0 && writer.Flush() != nil {
			return
		}
	}
}

// readLine returns a line with its end; a line longer than the reader's buffer is put together.
func readLine(reader *bufio.Reader) ([]byte, error) {
	line, err := reader.ReadSlice('\n')
	if err != bufio.ErrBufferFull {
		return line, err
	}
	whole := append([]byte(nil), line...)
	for err == bufio.ErrBufferFull && len(whole) < maxLineBytes {
		line, err = reader.ReadSlice('\n')
		whole = append(whole, line...)
	}
	return whole, err
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
