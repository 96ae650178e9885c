// The Env contract on the kernel: timers, signals, gates, streams, files. The simulator has the same cases.
#include "broker/real/real_env.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>

#include "broker/env/sync.h"
#include "broker/real/real_trace.h"

using namespace ordeal;
using env::Task;

namespace {

// Runs one task to its end on a fresh world.
template <class MakeTask>
void run(MakeTask make) {
  NullTrace trace;
  real::RealEnv world(trace, 2);
  auto body = [](MakeTask inner, real::RealEnv* all) -> Task<> {
    co_await inner(all->env);
    all->scheduler.stop();
  };
  world.scheduler.spawn(body(make, &world), "test");
  world.scheduler.run();
}

std::string scratch(const std::string& name) {
  auto path = std::filesystem::temp_directory_path() / ("ordeal-real-" + std::to_string(::getpid()) + "-" + name);
  std::filesystem::remove_all(path);
  std::filesystem::create_directories(path);
  return path.string();
}

Task<> echo_once(env::Listener* listener) {
  auto stream = co_await listener->accept();
  if (!stream) co_return;
  Bytes buffer(5);
  Status got = co_await (*stream)->read_exact(buffer);
  CHECK(got.has_value());
  Status sent = co_await (*stream)->write_all(buffer);
  CHECK(sent.has_value());
}

}  // namespace

TEST_CASE("a signal wakes its waiters, and a deadline ends the wait") {
  run([](env::Env& env) -> Task<> {
    env::Signal signal(env.scheduler);
    env.scheduler.call_at(env.scheduler.now() + 1ms, [&signal] { signal.notify_all(); });
    bool notified = co_await signal.wait(env.scheduler.now() + 5s);
    CHECK(notified);
    const Instant before = env.scheduler.now();
    bool late = co_await signal.wait(before + 3ms);
    CHECK_FALSE(late);
    CHECK(env.scheduler.now() >= before + 3ms);
  });
}

TEST_CASE("a closing gate wakes sleepers and waits for its tasks") {
  run([](env::Env& env) -> Task<> {
    auto gate = std::make_unique<env::Gate>(env.scheduler);
    int ended = 0;
    auto sleeper = [](env::Gate* mine, int* count) -> Task<> {
      bool go_on = co_await mine->sleep_for(1h);
      CHECK_FALSE(go_on);
      ++*count;
    };
    gate->spawn(sleeper(gate.get(), &ended), "sleeper");
    gate->spawn(sleeper(gate.get(), &ended), "sleeper");
    co_await env.scheduler.sleep_for(1ms);
    co_await gate->close();
    CHECK(ended == 2);
  });
}

TEST_CASE("bytes cross a stream, and a closed listener refuses") {
  run([](env::Env& env) -> Task<> {
    auto listener = env.network.listen({"127.0.0.1", 0});
    REQUIRE(listener.has_value());
    const Endpoint at = (*listener)->local();
    env.scheduler.spawn(echo_once(listener->get()), "echo");
    auto stream = co_await env.network.connect(at, env.scheduler.now() + 2s);
    REQUIRE(stream.has_value());
    Status sent = co_await (*stream)->write_all(as_bytes("hello"));
    CHECK(sent.has_value());
    Bytes back(5);
    Status got = co_await (*stream)->read_exact(back);
    CHECK(got.has_value());
    CHECK(as_text(back) == "hello");
    (*listener)->close();
    auto refused = co_await env.network.connect(at, env.scheduler.now() + 2s);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code == Errc::refused);
  });
}

TEST_CASE("blocking work runs off the queue and its result comes back") {
  run([](env::Env& env) -> Task<> {
    auto work = [] { return 41 + 1; };
    int result = co_await env::blocking(env.scheduler, std::move(work));
    CHECK(result == 42);
  });
}

TEST_CASE("files keep what is written, in parts, and errors name the path") {
  const std::string dir = scratch("disk");
  real::RealDisk disk;
  {
    auto file = disk.open(dir + "/a", env::OpenMode::create_new);
    REQUIRE(file.has_value());
    const ByteView parts[] = {as_bytes("head"), as_bytes(""), as_bytes("tail")};
    CHECK((*file)->write_at(2, parts).has_value());
    CHECK((*file)->sync().has_value());
    CHECK(*(*file)->size() == 10);
    CHECK((*file)->preallocate(4096).has_value());
    CHECK(*(*file)->size() == 10);
  }
  CHECK_FALSE(disk.open(dir + "/a", env::OpenMode::create_new).has_value());
  const auto missing = disk.open(dir + "/b", env::OpenMode::read);
  REQUIRE_FALSE(missing.has_value());
  CHECK(missing.error().code == Errc::not_found);
  CHECK(missing.error().text.find("/b") != std::string::npos);
  CHECK(disk.replace_file(dir + "/c", as_bytes("new")).has_value());
  CHECK(as_text(*disk.read_file(dir + "/c")) == "new");
  CHECK(disk.list(dir)->size() == 2);
  CHECK(disk.remove_tree(dir).has_value());
}

TEST_CASE("trace events become JSON lines with text escaped") {
  const std::string dir = scratch("trace");
  {
    auto trace =
        real::RealTrace::open({.node = 3, .file = dir + "/t.jsonl", .socket = "", .log_from = Severity::error});
    REQUIRE(trace.has_value());
    (*trace)->info("partition.leader", {{"topic", "a\"b"}, {"leader_epoch", 5}});
  }
  real::RealDisk disk;
  const std::string text(as_text(*disk.read_file(dir + "/t.jsonl")));
  CHECK(text.find(R"("n":3,"s":"info","k":"partition.leader","topic":"a\"b","leader_epoch":5})") != std::string::npos);
  CHECK(disk.remove_tree(dir).has_value());
}
