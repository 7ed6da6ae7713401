package delivery

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/net/dns/dnsmessage"
)

// fakeDNS answers from a table, a step further in each name's list at each question; the last answer stays.
type fakeDNS struct {
	addrs map[string][]netip.Addr
	asked atomic.Int64
	step  bool
}

func (f *fakeDNS) resolver(t *testing.T) *net.Resolver {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.Close() })
	go func() {
		buf := make([]byte, 2048)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			if out := f.answer(buf[:n]); out != nil {
				_, _ = pc.WriteTo(out, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", pc.LocalAddr().String())
	}}
}

func (f *fakeDNS) answer(question []byte) []byte {
	var m dnsmessage.Message
	if m.Unpack(question) != nil || len(m.Questions) == 0 {
		return nil
	}
	q := m.Questions[0]
	m.Response, m.Authoritative, m.Additionals = true, true, nil
	addrs := f.addrs[strings.TrimSuffix(strings.ToLower(q.Name.String()), ".")]
	if f.step && q.Type == dnsmessage.TypeA && len(addrs) > 0 {
		i := min(int(f.asked.Add(1))-1, len(addrs)-1)
		addrs = addrs[i : i+1]
	}
	for _, a := range addrs {
		h := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET}
		switch {
		case a.Is4() && q.Type == dnsmessage.TypeA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: a.As4()}})
		case a.Is6() && q.Type == dnsmessage.TypeAAAA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
	if len(f.addrs[strings.TrimSuffix(strings.ToLower(q.Name.String()), ".")]) == 0 {
		m.RCode = dnsmessage.RCodeNameError
	}
	out, _ := m.Pack()
	return out
}

// private are addresses that nobody may reach through us: this machine, networks of its own, metadata services, what carries
// such an address inside, and what is no host's.
var private = []string{
	"127.0.0.1", "127.0.0.53", "127.1.2.3", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.254",
	"169.254.0.1", "169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.192", "192.0.2.1", "192.88.99.1",
	"192.168.0.1", "192.168.255.255", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1",
	"255.255.255.255", "168.63.129.16", "100.100.100.200",
	"::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "fd12:3456::1", "ff02::1", "ff0e::1", "fec0::1", "100::1", "2001:db8::1", "2001::1", "2001:2::1", "2001:10::1",
	"2002:7f00:1::", "2002:a00:1::1", "2002:c0a8:1::", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::7f00:1", "::7f00:1", "3fff::1", "5f00::1",
}

// corpus makes every address that must be refused when it is named.
func corpus() (urls []string) {
	add := func(format string, args ...any) { urls = append(urls, fmt.Sprintf(format, args...)) }
	for _, text := range private {
		a := netip.MustParseAddr(text)
		if a.Is6() {
			add("https://[%s]/", a)
			add("https://[%s]:8443/hook", a.StringExpanded())
			add("https://[%s]:443", strings.ToUpper(a.String()))
			continue
		}
		b := a.As4()
		n := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
		add("https://%s/", a)
		add("https://%s:8443/hook?x=1", a)
		add("https://%s./", a)
		add("https://%d/", n)
		add("https://0x%08x/", n)
		add("https://0%o/", n)
		add("https://0x%x.0x%x.0x%x.0x%x/", b[0], b[1], b[2], b[3])
		add("https://0%o.0%o.0%o.0%o/", b[0], b[1], b[2], b[3])
		add("https://%d.%d/", b[0], n&0xffffff)
		add("https://%d.%d.%d/", b[0], b[1], n&0xffff)
		add("https://[::ffff:%s]/", a)
		add("https://[::ffff:%x:%x]:443/", n>>16, n&0xffff)
	}
	for _, zone := range []string{"fe80::1%25eth0", "fe80::1%25lo", "fe80::1%eth0", "::1%25lo", "fe80::1%251"} {
		add("https://[%s]/", zone)
		add("https://[%s]:8443/", zone)
	}
	for _, name := range []string{
		"localhost", "LOCALHOST", "localhost.", "a.localhost", "printer.local", "db.internal", "metadata.google.internal", "x.localdomain",
		"router.lan", "nas.home", "intranet", "wiki.corp", "1.0.0.127.in-addr.arpa", "host.docker.internal", "kubernetes.default.svc.cluster.local", "printer", "db.",
	} {
		add("https://%s/", name)
		add("https://%s:8443/", name)
	}
	for _, scheme := range []string{"http", "ftp", "file", "gopher", "ws", "wss", "javascript", "data", "unix", "dict", "ldap", "HTTP", ""} {
		add("%s://hooks.example.com/", scheme)
		add("%s://hooks.example.com:443/", scheme)
	}
	for _, port := range []string{"0", "22", "25", "53", "80", "444", "3306", "5432", "6379", "8080", "9200", "65535", "65536", "99999999999", "-1", "4a3", ""} {
		add("https://hooks.example.com:%s/", port)
	}
	for _, odd := range []string{
		"", " ", "//hooks.example.com/", "hooks.example.com", "https:", "https:/", "https://", "https:///path", "https:hooks.example.com", "https://?x", "https://#x",
		"https://user@hooks.example.com/", "https://user:pass@hooks.example.com/", "https://hooks.example.com@127.0.0.1/", "https://127.0.0.1@hooks.example.com/",
		"https://@hooks.example.com/", "https://:@hooks.example.com/", "https://hooks.example.com%2f@127.0.0.1/", "https://hooks.example.com\\@127.0.0.1/",
		"https://127.0.0.1\\.example.com/", "https://hooks.example.com#@127.0.0.1/", "https://hooks.example.com/#x", "https://hooks.example.com:443:80/",
		"https://hooks.example.com /", " https://hooks.example.com/", "https://hooks.example.com/\r\nHost: 127.0.0.1", "https://hooks.example.com/\x00", "https://hooks.example.com/a b",
		"https://h\u00f6oks.example.com/", "https://127\u30020\u30020\u30021/", "https://\u2460\u2461\u2466.0.0.1/", "https://hooks..example.com/", "https://.example.com/",
		"https://%31%32%37.0.0.1/", "https://loc%61lhost/", "https://[::1/", "https://::1/", "https://[127.0.0.1]/", "https://[]/", "https://[hooks.example.com]/",
		"https://" + strings.Repeat("a", 64) + ".example.com/", "https://hooks.example.com/" + strings.Repeat("a", maxURL), "https://127.1/", "https://127.0.1/", "https://0/",
		"https://0x7f.1/", "https://0177.1/", "https://017700000001/", "https://2130706433/", "https://127.0.0.1.1/", "https://1e100/", "https://example.0x1/", "https://example.1/",
		"https://ex!ample.com/", "https://ex$ample.com/", "https://ex*mple.com/", "https://example.com;127.0.0.1/", "https://example.com,127.0.0.1/",
	} {
		add("%s", odd)
	}
	return urls
}

// Nothing of the corpus is taken when it is named, and nothing of it reaches a listener when it is called all the same: the
// answer is always the same text. Names that lead to private addresses are refused like the addresses.
func TestGuardCorpus(t *testing.T) {
	t.Parallel()
	var hits atomic.Int64
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer receiver.Close()
	port := receiver.Listener.Addr().(*net.TCPAddr).Port
	dns := &fakeDNS{addrs: map[string][]netip.Addr{"hooks.example.com": {netip.MustParseAddr("93.184.216.34")}}}
	urls := corpus()
	for i, text := range private {
		name := fmt.Sprintf("p%d.example.com", i)
		dns.addrs[name] = []netip.Addr{netip.MustParseAddr(text)}
		mixed := fmt.Sprintf("m%d.example.com", i)
		dns.addrs[mixed] = []netip.Addr{netip.MustParseAddr("93.184.216.34"), netip.MustParseAddr(text)}
		urls = append(urls, "https://"+name+"/", "https://"+strings.ToUpper(name)+".:8443/", "https://"+mixed+"/")
	}
	if len(urls) < 400 {
		t.Fatalf("the corpus has only %d addresses", len(urls))
	}
	g := NewGuard(Policy{}, dns.resolver(t))
	c := newClient(g, "test", time.Now)
	defer c.close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, u := range urls {
		if err := g.CheckURL(ctx, u); err == nil || err.Error() != "url is not allowed" {
			t.Errorf("%q: got %v when it was named", u, err)
		}
	}
	// At the dialer only literals and names can be asked; the receiver's port is allowed, so that a slip would be seen.
	open := NewGuard(Policy{AllowHTTP: true, Ports: []uint16{443, 8443, uint16(port)}}, g.resolver)
	caller := newClient(open, "test", time.Now)
	defer caller.close()
	for i, text := range private {
		host := text
		if strings.Contains(text, ":") {
			host = "[" + text + "]"
		}
		for _, h := range []string{host, fmt.Sprintf("p%d.example.com", i)} {
			a := caller.call(ctx, fmt.Sprintf("http://%s:%d/", h, port), Secrets{[]byte("0123456789abcdef")}, uuid.New(), 1, []byte("{}"))
			if a.text != "url is not allowed" || a.retry || a.status != 0 {
				t.Errorf("%s: got %+v when it was called", h, a)
			}
		}
	}
	if n := hits.Load(); n > 0 {
		t.Errorf("the listener was reached %d times", n)
	}
	if err := g.CheckURL(ctx, "https://hooks.example.com/x"); err != nil {
		t.Errorf("a public name: got %v", err)
	}
	if err := g.CheckURL(ctx, "https://93.184.216.34:8443/x?y=%20z"); err != nil {
		t.Errorf("a public address: got %v", err)
	}
	if err := g.CheckURL(ctx, "https://your-app.example.org/webhook"); err != nil {
		t.Errorf("a name that does not resolve yet: got %v", err)
	}
}

// A name that was public when it was named and is private when it is called is refused by the dialer.
func TestGuardRebinding(t *testing.T) {
	t.Parallel()
	var hits atomic.Int64
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer receiver.Close()
	port := uint16(receiver.Listener.Addr().(*net.TCPAddr).Port)
	for _, to := range []string{"127.0.0.1", "10.0.0.1", "169.254.169.254"} {
		dns := &fakeDNS{step: true, addrs: map[string][]netip.Addr{"rebind.example.com": {netip.MustParseAddr("93.184.216.34"), netip.MustParseAddr(to)}}}
		g := NewGuard(Policy{AllowHTTP: true, Ports: []uint16{port}}, dns.resolver(t))
		url := fmt.Sprintf("http://rebind.example.com:%d/", port)
		if err := g.CheckURL(context.Background(), url); err != nil {
			t.Fatalf("while it is public: %v", err)
		}
		c := newClient(g, "test", time.Now)
		if a := c.call(context.Background(), url, Secrets{[]byte("0123456789abcdef")}, uuid.New(), 1, nil); a.text != "url is not allowed" || a.retry {
			t.Errorf("to %s: got %+v", to, a)
		}
		c.close()
	}
	if hits.Load() > 0 {
		t.Error("the listener was reached")
	}
}

// What may be called is asked again at each call: an address that was taken under other settings is not called any more, whoever
// it leads to, and no proxy is asked to call in our place.
func TestGuardAtEachCall(t *testing.T) {
	t.Parallel()
	var hits atomic.Int64
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer receiver.Close()
	port := uint16(receiver.Listener.Addr().(*net.TCPAddr).Port)
	for _, p := range []Policy{{AllowPrivate: true, Ports: []uint16{port}}, {AllowPrivate: true, AllowHTTP: true}} {
		c := newClient(NewGuard(p, nil), "test", time.Now)
		if a := c.call(context.Background(), receiver.URL, Secrets{[]byte(testSecret)}, uuid.New(), 1, nil); a.text != ErrURL.Error() || a.retry {
			t.Errorf("%+v: got %+v", p, a)
		}
		if c.http.Transport.(*http.Transport).Proxy != nil {
			t.Error("a proxy is asked")
		}
		c.close()
	}
	g := NewGuard(Policy{}, nil)
	for address, want := range map[string]error{"93.184.216.34:443": nil, "93.184.216.34:8443": nil, "93.184.216.34:22": ErrURL, "93.184.216.34:80": ErrURL} {
		if err := g.Control("tcp4", address, nil); err != want {
			t.Errorf("%s: got %v when it was dialled", address, err)
		}
	}
	if hits.Load() > 0 {
		t.Error("the receiver was reached")
	}
}

// Redirects are never followed, and our own listeners are not called even where private addresses are.
func TestGuardRedirectAndOwn(t *testing.T) {
	t.Parallel()
	var hits atomic.Int64
	inner := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer inner.Close()
	at := inner.Listener.Addr().(*net.TCPAddr)
	for _, status := range []int{301, 302, 303, 307, 308} {
		outer := httptest.NewServer(http.RedirectHandler(inner.URL, status))
		port := uint16(outer.Listener.Addr().(*net.TCPAddr).Port)
		c := newClient(NewGuard(Policy{AllowHTTP: true, AllowPrivate: true, Ports: []uint16{port, uint16(at.Port)}}, nil), "test", time.Now)
		if a := c.call(context.Background(), outer.URL, Secrets{[]byte("0123456789abcdef")}, uuid.New(), 1, nil); a.status != status || a.ok || a.retry {
			t.Errorf("redirect %d: got %+v", status, a)
		}
		c.close()
		outer.Close()
	}
	for _, own := range []string{"127.0.0.1", "0.0.0.0", "::"} {
		p := Policy{AllowHTTP: true, AllowPrivate: true, Ports: []uint16{uint16(at.Port)}, Own: []netip.AddrPort{netip.AddrPortFrom(netip.MustParseAddr(own), uint16(at.Port))}}
		g := NewGuard(p, nil)
		c := newClient(g, "test", time.Now)
		if a := c.call(context.Background(), inner.URL, Secrets{[]byte("0123456789abcdef")}, uuid.New(), 1, nil); a.text != "url is not allowed" {
			t.Errorf("own listener at %s: got %+v", own, a)
		}
		if err := g.CheckURL(context.Background(), inner.URL); err == nil {
			t.Errorf("own listener at %s may be named", own)
		}
		c.close()
	}
	if hits.Load() > 0 {
		t.Errorf("the inner listener was reached %d times", hits.Load())
	}
}

// The platform's address, which looks public, is refused also where private ones are allowed.
func TestGuardPlatform(t *testing.T) {
	t.Parallel()
	for _, allow := range []bool{false, true} {
		g := NewGuard(Policy{AllowPrivate: allow}, nil)
		for _, host := range []string{"168.63.129.16", "[::ffff:168.63.129.16]"} {
			if g.CheckURL(context.Background(), "https://"+host+"/") == nil || g.Control("tcp4", host+":443", nil) == nil {
				t.Errorf("%s may be called, private addresses allowed: %t", host, allow)
			}
		}
	}
}
