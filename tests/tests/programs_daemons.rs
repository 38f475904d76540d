//! Daemons with mapped configuration, data, log and pid files.

use std::fs;
use std::path::Path;

use tests::{Mount, WAITING, World, free_port, link, read_only, read_write, write};

fn nginx_tree(dir: &Path) {
    let host = dir.join("host");
    write(
        host.join("nginx.conf"),
        "daemon on;\nworker_processes 2;\nerror_log APP/log/error.log notice;\npid APP/run/nginx.pid;\n\
         events { worker_connections 64; }\nhttp {\n access_log APP/log/access.log;\n\
         client_body_temp_path APP/data/body;\n proxy_temp_path APP/data/proxy;\n fastcgi_temp_path APP/data/f;\n\
         uwsgi_temp_path APP/data/u;\n scgi_temp_path APP/data/s;\n include APP/etc/conf.d/*.conf;\n}\n",
    );
    write(
        host.join("conf.d/site.conf"),
        "server { listen 127.0.0.1:PORT; listen unix:APP/run/nginx.sock; root APP/www; autoindex on;\n\
         location /put { client_max_body_size 1m; dav_methods PUT; root APP/data; create_full_put_path on; } }\n",
    );
    write(host.join("www/index.html"), "hello from the view\n");
    write(host.join("www/sub/page.txt"), "page\n");
    link("sub/page.txt", host.join("www/linked"));
    for made in ["run", "log", "data"] {
        fs::create_dir_all(host.join(made)).expect("a fresh tree");
    }
    fs::create_dir_all(dir.join("home")).expect("a fresh tree");
}

const NGINX: &[Mount] = &[
    read_write("etc/nginx.conf", "nginx.conf"),
    read_write("etc/conf.d", "conf.d"),
    read_only("www", "www"),
    read_write("run", "run"),
    read_write("log", "log"),
    read_write("data", "data"),
];

#[test]
fn nginx_serves_reloads_and_stops() {
    let port = free_port();
    World::new("nginx", NGINX, nginx_tree).as_user(65534).same_session(
        "/bin/bash",
        &format!(
            r#"{WAITING}
            text=$(sed "s|APP|$APP|g" "$APP/etc/nginx.conf"); echo "$text" > "$APP/etc/nginx.conf"
            text=$(sed "s|APP|$APP|g; s|PORT|{port}|" "$APP/etc/conf.d/site.conf"); echo "$text" > "$APP/etc/conf.d/site.conf"
            run nginx -t -e "$APP/log/error.log" -c "$APP/etc/nginx.conf"
            run nginx -e "$APP/log/error.log" -c "$APP/etc/nginx.conf"
            appears "$APP/run/nginx.pid"; listens {port}
            get() {{ exec 3<> /dev/tcp/127.0.0.1/{port}; printf 'GET %s HTTP/1.0\r\n\r\n' "$1" >&3; sed 's/^\(Date\|Last-Modified\|ETag\):.*//; s/  *[0-9]*-...-20.*//' <&3; exec 3>&-; }}
            get /; get /sub/page.txt; get /linked; get /sub/; get /missing
            run python3 -c 'import os, socket; s = socket.socket(socket.AF_UNIX); s.connect(os.environ["APP"] + "/run/nginx.sock"); s.send(b"GET /sub/page.txt HTTP/1.0\r\n\r\n"); print(s.recv(4096)[-5:], s.getpeername())'
            kill -USR1 $(cat "$APP/run/nginx.pid"); sed -i 's/autoindex on/autoindex off/' "$APP/etc/conf.d/site.conf"
            run nginx -e "$APP/log/error.log" -c "$APP/etc/nginx.conf" -s reload; sleep 0.5; get /sub/
            pid=$(cat "$APP/run/nginx.pid"); run nginx -e "$APP/log/error.log" -c "$APP/etc/nginx.conf" -s quit; goes "$pid"
            sed 's/ - - .*"GET/ GET/; s/ HTTP.*//' "$APP/log/access.log"
            ls "$APP/run"; grep -c 'gracefully shutting down' "$APP/log/error.log" > /dev/null && echo graceful
            grep -E 'emerg|alert|crit' "$APP/log/error.log"
            "#
        ),
    );
}

/// As its manual has it: USR2 starts the new binary on the old one's sockets,
/// WINCH and QUIT send the old one home. A connection that was open before is
/// served to its end by the old one. nginx starts its first word again, so
/// that must be a path.
#[test]
fn nginx_is_replaced_while_it_serves() {
    let port = free_port();
    World::new("nginx-usr2", NGINX, nginx_tree).as_user(65534).same_session(
        "/bin/bash",
        &format!(
            r#"{WAITING}
            text=$(sed "s|APP|$APP|g" "$APP/etc/nginx.conf"); echo "$text" > "$APP/etc/nginx.conf"
            text=$(sed "s|APP|$APP|g; s|PORT|{port}|" "$APP/etc/conf.d/site.conf"); echo "$text" > "$APP/etc/conf.d/site.conf"
            get() {{ exec 3<> /dev/tcp/127.0.0.1/{port}; printf 'GET %s HTTP/1.0\r\n\r\n' "$1" >&3; sed -n '1p;$p' <&3; exec 3>&-; }}
            run /usr/sbin/nginx -e "$APP/log/error.log" -c "$APP/etc/nginx.conf"
            appears "$APP/run/nginx.pid"; listens {port}; old=$(cat "$APP/run/nginx.pid"); get /
            exec 4<> /dev/tcp/127.0.0.1/{port}; printf 'GET /sub/page.txt HTTP/1.0\r\n' >&4; sleep 0.2
            kill -USR2 "$old"; appears "$APP/run/nginx.pid.oldbin"; appears "$APP/run/nginx.pid"
            for _ in $(seq 100); do new=$(cat "$APP/run/nginx.pid"); [ "$new" != "$old" ] && break; sleep 0.05; done
            [ "$new" != "$old" ] && echo "a new one"; [ "$(cat "$APP/run/nginx.pid.oldbin")" = "$old" ] && echo "and the old one"
            get /sub/page.txt; kill -WINCH "$old"; sleep 0.3; get /linked
            printf '\r\n' >&4; sed -n '1p;$p' <&4; exec 4>&-
            kill -QUIT "$old"; goes "$old"; get /; kill -0 "$new" && echo "the new one stays"
            readlink "/proc/$new/cwd"; kill -QUIT "$new"; goes "$new"; ls "$APP/run"
            grep -E 'emerg|alert|crit' "$APP/log/error.log"; sed 's/ - - .*"GET/ GET/; s/ HTTP.*//' "$APP/log/access.log"
            "#
        ),
    );
}

fn redis_tree(dir: &Path) {
    let host = dir.join("host");
    write(
        host.join("etc/redis.conf"),
        "bind 127.0.0.1\nport PORT\ndaemonize yes\npidfile APP/run/redis.pid\nlogfile APP/log/redis.log\n\
         dir APP/data\ndbfilename shop.rdb\nappendonly yes\nunixsocket APP/run/redis.sock\ninclude APP/etc/extra.conf\n",
    );
    write(host.join("extra.conf"), "maxmemory 64mb\n");
    write(host.join("etc/extra.conf"), "");
    for made in ["run", "log", "data"] {
        fs::create_dir_all(host.join(made)).expect("a fresh tree");
    }
    fs::create_dir_all(dir.join("home")).expect("a fresh tree");
}

const REDIS: &[Mount] = &[
    read_write("etc", "etc"),
    read_only("etc/extra.conf", "extra.conf"),
    read_write("run", "run"),
    read_write("log", "log"),
    read_write("data", "data"),
];

/// Redis calls into the shim from its allocator while that starts, and holds a
/// lock: a door that allocates or asks dlsym there hangs for ever.
#[test]
fn redis_serves_saves_and_comes_back() {
    let port = free_port();
    World::new("redis", REDIS, redis_tree).as_user(65534).same_session(
        "/bin/bash",
        &format!(
            r#"{WAITING}
            text=$(sed "s|APP|$APP|g; s|PORT|{port}|" "$APP/etc/redis.conf"); echo "$text" > "$APP/etc/redis.conf"
            for round in 1 2; do
                run redis-server "$APP/etc/redis.conf"; listens {port}; appears "$APP/run/redis.pid"
                for _ in $(seq 200); do redis-cli -p {port} ping | grep -q PONG && break; sleep 0.05; done
                run redis-cli -p {port} incr visits
                run redis-cli -s "$APP/run/redis.sock" set "key$round" value
                run redis-cli -p {port} save; run redis-cli -p {port} bgrewriteaof
                for _ in $(seq 100); do redis-cli -p {port} info persistence | grep -q aof_rewrite_in_progress:0 && break; sleep 0.05; done
                run redis-cli -p {port} config get dir; run redis-cli -p {port} config get maxmemory
                run redis-cli -p {port} config rewrite
                run redis-cli -p {port} mget key1 key2 visits
                pid=$(cat "$APP/run/redis.pid"); run redis-cli -p {port} shutdown; goes "$pid"
                ls "$APP/run" "$APP/data" "$APP/data/appendonlydir"
            done
            grep -c 'DB saved on disk' "$APP/log/redis.log"
            "#
        ),
    );
}
