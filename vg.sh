#!/bin/sh
# vg.sh OP WHERE PATH : instructions per op by callgrind difference, with function breakdown
for n in 1000 3000; do
 LD_PRELOAD= valgrind --tool=callgrind --trace-children=no --callgrind-out-file=/tmp/bm/vg.$n.out --toggle-collect=main /work/main/target/tmp/programs/cost time $1 $2 $n 1 $3 >/dev/null 2>&1
done
