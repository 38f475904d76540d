// Reads every file below a directory, several times.
//
//	read DIRECTORY TIMES
package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

func main() {
	times, _ := strconv.Atoi(os.Args[2])
	bytes := 0
	for turn := 0; turn < times; turn++ {
		err := filepath.WalkDir(os.Args[1], func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			bytes += len(text)
			return err
		})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	if bytes == 0 {
		os.Exit(1)
	}
}
