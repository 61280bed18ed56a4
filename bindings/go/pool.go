package nuthatch

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	serverTimeout        = 2 * time.Second
	serverConnectionsMax = 64
	idleMax              = 8
)

// A connection to the server, used by one goroutine at a time.
type connection struct {
	conn    net.Conn
	replies replyReader
	space   uint32 // the database it is in
	isUsed  bool   // it has answered before: the server may have closed it since
}

// pool is the connections to one server.
type pool struct {
	options ServerOptions
	places  chan struct{} // one for each connection that may be
	mutex   sync.Mutex
	idle    []*connection
	closed  bool
}

func newPool(options ServerOptions) *pool {
	if options.Timeout <= 0 {
		options.Timeout = serverTimeout
	}
	if options.ConnectionsMax <= 0 {
		options.ConnectionsMax = serverConnectionsMax
	}
	return &pool{options: options, places: make(chan struct{}, options.ConnectionsMax)}
}

// take gives an idle connection, or a new one.
func (p *pool) take() (*connection, error) {
	timer := time.NewTimer(p.options.Timeout)
	defer timer.Stop()
	select {
	case p.places <- struct{}{}:
	case <-timer.C:
		return nil, fmt.Errorf("nuthatch: all %d connections to %s are busy", p.options.ConnectionsMax, p.options.Address)
	}
	p.mutex.Lock()
	if p.closed {
		p.mutex.Unlock()
		<-p.places
		return nil, ErrClosed
	}
	var found *connection
	for found == nil && len(p.idle) > 0 {
		last := len(p.idle) - 1
		if found = p.idle[last]; !found.isOpen() {
			found.conn.Close()
			found = nil
		}
		p.idle = p.idle[:last]
	}
	p.mutex.Unlock()
	if found != nil {
		return found, nil
	}
	c, err := p.connect()
	if err != nil {
		<-p.places
	}
	return c, err
}

// isOpen is false if the server has closed the idle connection, as far as one can know.
func (c *connection) isOpen() bool {
	conn := c.conn
	if secured, is := conn.(*tls.Conn); is {
		conn = secured.NetConn()
	}
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return false
	}
	open := false
	err = raw.Read(func(fd uintptr) bool {
		var one [1]byte
		count, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		// What nobody has asked for would be taken for the next one's reply; TLS has messages of its own.
		open = count > 0 && conn != c.conn || err == syscall.EAGAIN || err == syscall.EINTR
		return true
	})
	return err == nil && open
}

// give takes a connection back; one that failed is closed.
func (p *pool) give(c *connection, failed bool) {
	c.isUsed = true
	p.mutex.Lock()
	keep := !failed && !p.closed && len(p.idle) < idleMax && c.replies.from.Buffered() == 0
	if keep {
		p.idle = append(p.idle, c)
	}
	p.mutex.Unlock()
	if !keep {
		c.conn.Close()
	}
	<-p.places
}

func (p *pool) close() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.closed = true
	for _, c := range p.idle {
		c.conn.Close()
	}
	p.idle = nil
}

func (p *pool) connect() (*connection, error) {
	ctx, cancel := context.WithTimeout(context.Background(), p.options.Timeout)
	defer cancel()
	network, address := "tcp", p.options.Address
	if path := strings.TrimPrefix(address, "unix:"); path != address {
		network, address = "unix", strings.TrimPrefix(path, "//") // as a URL has it, unix:///run/…, too
	}
	var conn net.Conn
	var err error
	if p.options.TLS != nil {
		conn, err = (&tls.Dialer{Config: p.options.TLS}).DialContext(ctx, network, address)
	} else {
		conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
	}
	if err != nil {
		return nil, fmt.Errorf("nuthatch: %w", err)
	}
	c := &connection{conn: conn, replies: replyReader{bufio.NewReaderSize(conn, replyLineMax)}}
	if err := p.greet(c); err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

// greet asks for RESP3, and for RESP2 of a server that has none.
func (p *pool) greet(c *connection) error {
	user := p.options.Username
	if user == "" {
		user = "default"
	}
	hello := words("HELLO", "3")
	if p.options.Password != "" {
		hello = words("HELLO", "3", "AUTH", user, p.options.Password)
	}
	got, err := p.exchange(c, command(nil, hello...))
	if err != nil || got.kind != '-' {
		return err
	}
	if !strings.HasPrefix(string(got.text), "ERR unknown") && !strings.HasPrefix(string(got.text), "NOPROTO") {
		return got.err()
	}
	if p.options.Password == "" {
		return nil
	}
	auth := words("AUTH", user, p.options.Password)
	if p.options.Username == "" {
		auth = words("AUTH", p.options.Password)
	}
	if got, err = p.exchange(c, command(nil, auth...)); err != nil {
		return err
	}
	return got.err()
}

func (p *pool) exchange(c *connection, request []byte) (reply, error) {
	replies, err := p.exchangeMany(c, request, 1)
	if err != nil {
		return reply{}, err
	}
	return replies[0], nil
}

func (p *pool) exchangeMany(c *connection, request []byte, count int) ([]reply, error) {
	if err := c.conn.SetDeadline(time.Now().Add(p.options.Timeout)); err != nil {
		return nil, fmt.Errorf("nuthatch: %w", err)
	}
	if _, err := c.conn.Write(request); err != nil {
		return nil, fmt.Errorf("nuthatch: %w", err)
	}
	replies := make([]reply, 0, count)
	for len(replies) < count {
		got, err := c.replies.next()
		if err != nil {
			return nil, fmt.Errorf("nuthatch: %s: %w", p.options.Address, err)
		}
		replies = append(replies, got)
	}
	return replies, nil
}

// ask sends a request of count commands, and returns their replies. A connection that was idle may have been closed by the
// server: what may be asked twice is asked once more.
func (p *pool) ask(space uint32, request []byte, count int, mayRepeat bool) ([]reply, error) {
	for isAgain := false; ; isAgain = true {
		c, err := p.take()
		if err != nil {
			return nil, err
		}
		wasUsed := c.isUsed
		replies, err := p.askOn(c, space, request, count)
		p.give(c, err != nil)
		if _, isServers := err.(*ServerError); err == nil || isServers || !wasUsed || !mayRepeat || isAgain || isTimeout(err) {
			return replies, err
		}
		p.dropIdle() // they are of the same time
	}
}

func (p *pool) askOn(c *connection, space uint32, request []byte, count int) ([]reply, error) {
	if c.space != space {
		got, err := p.exchange(c, command(nil, words("SELECT", strconv.Itoa(int(space)))...))
		if err == nil {
			err = got.err()
		}
		if err != nil {
			return nil, err
		}
		c.space = space
	}
	return p.exchangeMany(c, request, count)
}

func isTimeout(err error) bool {
	var network net.Error
	return errors.As(err, &network) && network.Timeout()
}

func (p *pool) dropIdle() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for _, c := range p.idle {
		c.conn.Close()
	}
	p.idle = nil
}
