// Stands in for a program of the catalogue: listens at its port, answers every path, and does what a test asks it to do
// from inside its container, so that nothing has to be executed there. Called by the name of a program that a probe
// executes, it looks whether somebody listens.
package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Held for ever once eaten.
var eaten [][]byte

// Processes that only wait.
var born []*os.Process

func main() {
	port := os.Getenv("STANDIN_PORT")
	script := strings.Join(os.Args[1:], " ")
	switch path.Base(os.Args[0]) {
	case "standin":
	case "idle":
		time.Sleep(time.Hour)
		return
	case "sh":
		if !strings.Contains(script, "exec ") {
			probe(port)
		}
	default:
		probe(port)
	}
	handle("/standin/connect", func(ask func(string) string) (string, error) {
		connection, err := net.DialTimeout("tcp", ask("to"), 2*time.Second)
		if err != nil {
			return "", err
		}
		return "connected", connection.Close()
	})
	handle("/standin/resolve", func(ask func(string) string) (string, error) {
		found, err := net.LookupHost(ask("name"))
		if err != nil {
			return "", err
		}
		return found[0], nil
	})
	handle("/standin/read", func(ask func(string) string) (string, error) {
		text, err := os.ReadFile(ask("path"))
		return string(text), err
	})
	handle("/standin/write", func(ask func(string) string) (string, error) {
		return "written", os.WriteFile(ask("path"), []byte(ask("text")), 0o600)
	})
	handle("/standin/say", func(ask func(string) string) (string, error) {
		_, err := fmt.Println(ask("text"))
		return "said", err
	})
	handle("/standin/eat", func(ask func(string) string) (string, error) {
		count, err := strconv.Atoi(ask("mib"))
		for ; count > 0; count-- {
			piece := make([]byte, 1<<20)
			for at := range piece {
				piece[at] = 1
			}
			eaten = append(eaten, piece)
		}
		return "eaten", err
	})
	handle("/standin/spin", func(ask func(string) string) (string, error) {
		count, err := strconv.Atoi(ask("threads"))
		seconds, wrong := strconv.Atoi(ask("seconds"))
		until := time.Now().Add(time.Duration(seconds) * time.Second)
		for ; count > 0; count-- {
			go func() {
				runtime.LockOSThread()
				for time.Now().Before(until) {
				}
			}()
		}
		return "spinning", errors.Join(err, wrong)
	})
	handle("/standin/fill", func(ask func(string) string) (string, error) {
		count, err := strconv.Atoi(ask("mib"))
		if err != nil {
			return "", err
		}
		file, err := os.Create(ask("path"))
		if err != nil {
			return "", err
		}
		piece := make([]byte, 1<<20)
		for ; count > 0 && err == nil; count-- {
			_, err = file.Write(piece)
		}
		return "filled", errors.Join(err, file.Close())
	})
	handle("/standin/fork", func(ask func(string) string) (string, error) {
		count, err := strconv.Atoi(ask("count"))
		for ; count > 0 && err == nil; count-- {
			child := exec.Command("/proc/self/exe")
			child.Args = []string{"idle"}
			if err = child.Start(); err == nil {
				born = append(born, child.Process)
			}
		}
		if err != nil {
			for _, child := range born {
				child.Kill()
				child.Wait()
			}
		}
		return "forked", err
	})
	http.HandleFunc("/", func(answer http.ResponseWriter, request *http.Request) {
		fmt.Fprintf(answer, "stand-in at %s, user %d, asked for %s\n", request.Host, os.Getuid(), request.URL.Path)
	})
	fmt.Println("a stand-in listens at", port)
	panic(http.ListenAndServe(":"+port, nil))
}

func probe(port string) {
	if _, err := net.DialTimeout("tcp", "127.0.0.1:"+port, time.Second); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

// What works is answered with 200; what does not, with 418 and the reason.
func handle(path string, deed func(ask func(string) string) (string, error)) {
	http.HandleFunc(path, func(answer http.ResponseWriter, request *http.Request) {
		text, err := deed(request.URL.Query().Get)
		if err != nil {
			answer.WriteHeader(http.StatusTeapot)
			text = err.Error()
		}
		fmt.Fprint(answer, text)
	})
}
