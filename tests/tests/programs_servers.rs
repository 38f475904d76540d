//! A database, and languages with threads and processes of their own: each
//! works on data at paths that exist only in the view.

use std::fs;
use std::path::Path;

use tests::{Mount, WAITING, World, free_port, read_only, read_write, write};

const MOUNTS: &[Mount] = &[read_write("work", "data"), read_only("lib", "fixed")];

const JAVA: &str = r#"
import com.sun.net.httpserver.HttpServer;
import java.net.*;
import java.net.http.*;
import java.nio.file.*;
import java.util.*;
import java.util.concurrent.*;

public class Server {
    public static void main(String[] words) throws Exception {
        Path app = Path.of(System.getenv("APP"));
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
        ExecutorService pool = Executors.newFixedThreadPool(8);
        server.setExecutor(pool);
        server.createContext("/", exchange -> {
            byte[] body;
            int status = 200;
            try {
                body = Files.readAllBytes(app.resolve("lib" + exchange.getRequestURI().getPath()));
            } catch (NoSuchFileException error) {
                body = error.getFile().getBytes();
                status = 404;
            }
            exchange.sendResponseHeaders(status, body.length);
            exchange.getResponseBody().write(body);
            exchange.close();
        });
        server.start();
        String base = "http://127.0.0.1:" + server.getAddress().getPort();
        HttpClient client = HttpClient.newHttpClient();
        Map<String, Integer> seen = new ConcurrentSkipListMap<>();
        List<CompletableFuture<?>> all = new ArrayList<>();
        for (int n = 0; n < 200; n++) {
            String name = n % 4 == 0 ? "/missing" : "/words.txt";
            all.add(client.sendAsync(HttpRequest.newBuilder(URI.create(base + name)).build(),
                    HttpResponse.BodyHandlers.ofString())
                .thenAccept(answer -> seen.merge(answer.statusCode() + " " + answer.body().strip(), 1, Integer::sum)));
        }
        for (CompletableFuture<?> one : all) one.get(60, TimeUnit.SECONDS);
        System.out.println(seen);
        server.stop(0);
        pool.shutdown();
        try (var tree = Files.walk(app)) { tree.sorted().forEach(System.out::println); }
        try { Files.writeString(app.resolve("lib/new"), "x"); } catch (FileSystemException error) { System.out.println(error); }
        Files.writeString(app.resolve("work/written"), "by java\n");
        Process cat = new ProcessBuilder("cat", "written").directory(app.resolve("work").toFile()).start();
        System.out.print(new String(cat.getInputStream().readAllBytes()));
        System.out.println(cat.waitFor() + " " + Path.of("").toAbsolutePath() + " " + app.resolve("work/../lib").toRealPath());
    }
}
"#;

const NODE: &str = r#"
const fs = require('fs'), path = require('path'), http = require('http');
const { Worker, isMainThread, workerData, parentPort } = require('worker_threads');
const { spawnSync, fork, execSync } = require('child_process');
const app = process.env.APP;
if (process.send) {
    process.send([process.argv[2], fs.readFileSync(app + '/lib/words.txt', 'utf8'), process.cwd()]);
    process.disconnect();
} else if (!isMainThread) {
    const name = `${app}/work/worker${workerData}`;
    for (let round = 0; round < 50; round++) {
        fs.writeFileSync(name, String(round));
        if (fs.readFileSync(name, 'utf8') !== String(round)) throw new Error(name);
    }
    fs.unlinkSync(name);
    parentPort.postMessage(`${workerData} done`);
} else (async () => {
    process.chdir(app + '/work');
    console.log(__filename, process.cwd(), fs.realpathSync('.'), require('./module.js').word);
    const workers = [...Array(4).keys()].map(n => new Promise((resolve, reject) =>
        new Worker(__filename, { workerData: n }).on('message', resolve).on('error', reject)));
    console.log(await Promise.all(workers));
    const children = [...Array(3).keys()].map(n => new Promise((resolve, reject) =>
        fork(__filename, [String(n)]).on('message', resolve).on('error', reject)));
    console.log(await Promise.all(children));
    console.log(spawnSync('cat', ['words.txt'], { cwd: app + '/lib', encoding: 'utf8' }).stdout, String(execSync('pwd')));
    const names = await Promise.all([...Array(100).keys()].map(async n => {
        await fs.promises.writeFile(`f${n}`, 'x'.repeat(n));
        const size = (await fs.promises.stat(`${app}/work/f${n}`)).size;
        await fs.promises.rm(`f${n}`);
        return size;
    }));
    console.log(names.reduce((sum, size) => sum + size));
    for (const call of [() => fs.writeFileSync(app + '/lib/new', ''), () => fs.readFileSync('missing')])
        try { call(); } catch (error) { console.log(error.code, error.path); }
    const server = http.createServer((request, answer) => fs.createReadStream(app + '/lib' + request.url)
        .on('error', error => { answer.statusCode = 404; answer.end(error.code); }).pipe(answer));
    await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
    const base = `http://127.0.0.1:${server.address().port}`;
    for (const name of ['/words.txt', '/missing'])
        console.log((await (await fetch(base + name)).text()).trim());
    server.closeAllConnections(); server.close();
    console.log(fs.readdirSync(app, { recursive: true }).sort().join(' '));
})();
"#;

const PYTHON: &str = r#"
import multiprocessing, os, pathlib, sys
from concurrent.futures import ThreadPoolExecutor
app = pathlib.Path(os.environ["APP"])
def work(n):
    name = app / f"work/p{n}"
    for round in range(20):
        name.write_text(f"{round}")
        assert name.read_text() == str(round)
    name.unlink()
    return n, os.getcwd(), (app / "lib/words.txt").read_text()
def count(shared, lock):
    for _ in range(100):
        with lock:
            shared.value += 1
if __name__ == "__main__":
    os.chdir(app / "work")
    for method in ["fork", "spawn", "forkserver"]:
        context = multiprocessing.get_context(method)
        with context.Pool(3) as pool:
            print(method, sorted(pool.map(work, range(9))))
        shared, lock = context.Value("i", 0), context.Lock()
        all = [context.Process(target=count, args=(shared, lock)) for _ in range(4)]
        for one in all: one.start()
        for one in all: one.join()
        print(shared.value, [one.exitcode for one in all])
    with multiprocessing.Manager() as manager:
        print(manager.dict(a=1).copy(), manager.list([1, 2])[:])
    with ThreadPoolExecutor(16) as pool:
        print(sum(n for n, _, _ in pool.map(work, range(200))))
    from multiprocessing import shared_memory
    memory = shared_memory.SharedMemory(create=True, size=10)
    other = shared_memory.SharedMemory(memory.name)
    memory.buf[0] = 7; print(other.buf[0]); other.close(); memory.close(); memory.unlink()
"#;

fn fill(dir: &Path) {
    let host = dir.join("host");
    write(host.join("fixed/words.txt"), "words\n");
    write(host.join("fixed/Server.java"), JAVA);
    write(host.join("fixed/server.js"), NODE);
    write(host.join("fixed/pools.py"), PYTHON);
    write(host.join("data/module.js"), "exports.word = 'required';\n");
    write(host.join("fixed/module.js"), "exports.word = 'beside the script';\n");
    fs::create_dir_all(dir.join("home")).expect("a fresh tree");
}

fn same(name: &str, script: &str) {
    let world = World::new(name, MOUNTS, fill).as_user(65534);
    world.same_session("/bin/bash", &format!("{WAITING}cd \"$APP/work\"\n{script}"));
}

#[test]
fn java_serves_with_many_threads() {
    same(
        "servers-java",
        r#"
        # A jvm counts itself in /tmp/hsperfdata_USER, which two runs would share.
        export JAVA_TOOL_OPTIONS=-XX:-UsePerfData
        run javac -d "$APP/work/classes" "$APP/lib/Server.java"
        run java -cp "$APP/work/classes" Server
        run java -Xshare:off -cp classes Server
        rm -rf classes
        "#,
    );
}

#[test]
fn node_has_its_workers_and_children() {
    same("servers-node", r#"run node "$APP/lib/server.js"; cd "$APP/lib"; run node server.js"#);
}

#[test]
fn python_has_its_pools_of_processes() {
    same("servers-python", r#"run /usr/bin/python3.11 "$APP/lib/pools.py""#);
}

#[test]
fn postgresql_keeps_what_it_is_given() {
    let port = free_port();
    same(
        "servers-postgres",
        &format!(
            r#"
            export PATH=/usr/lib/postgresql/15/bin:$PATH PGDATA="$APP/work/db" PGUSER=shop PGDATABASE=postgres PGPORT={port}
            run initdb --auth=trust --no-sync --username=shop | tail -n 1
            cat >> db/postgresql.conf <<END
            listen_addresses = '127.0.0.1'
            port = {port}
            unix_socket_directories = '$APP/work'
            fsync = off
            include_dir = '$APP/work/extra'
END
            mkdir extra; echo "work_mem = 5MB" > extra/one.conf
            run pg_ctl -s -w -l log start
            for host in 127.0.0.1 "$APP/work"; do
                export PGHOST=$host
                run psql -Atc 'show work_mem' -c 'show data_directory' -c 'create table if not exists t (x int)' -c 'insert into t values (1)' -c 'select count(*) from t'
            done
            run psql -Atc "copy t to '$APP/work/copied'" -c "copy t from '$APP/work/copied'" -c 'select sum(x) from t'
            run psql -Atc "copy t to '$APP/lib/copied'"; rm copied
            pgbench -q -i -s 1 > /dev/null 2>&1; echo "= $?"; pgbench -c 4 -j 2 -t 100 2>&1 | grep 'number of transactions actually'
            run psql -Atc 'select count(*) from pgbench_history' -c 'vacuum full' -c 'create database other' -c 'reindex table t'
            run pg_ctl -s -w -m fast stop; run pg_ctl -s -w -l log start
            run psql -Atc 'select sum(x) from t' -c 'select count(*) from pgbench_history'
            run pg_dump -t t --data-only --column-inserts | grep INSERT
            ls -d .s.*; run pg_ctl -s -w -m immediate stop; run pg_ctl -s -w -l log start; run psql -Atc 'select sum(x) from t'
            run pg_ctl -s -w stop; rm -rf db extra log
            "#
        ),
    );
}
