// The parts of the nemesis that need no namespaces; nemesis_test.py tests the rest on real ones.
#include <doctest/doctest.h>
#include <signal.h>

#include <cstdio>
#include <fstream>

#include "faults/real/clock.h"
#include "faults/real/firewall.h"
#include "faults/real/loop.h"
#include "faults/real/netlink.h"
#include "faults/real/netns.h"
#include "faults/real/process.h"
#include "faults/real/tail.h"

namespace ordeal::nemesis {
namespace {

struct TemporaryFile {
  std::string path = "/tmp/ordeal-real-test-" + std::to_string(::getpid());
  ~TemporaryFile() { std::remove(path.c_str()); }
};

std::vector<std::string> lines_of(Tail& tail) {
  std::vector<std::string> lines;
  tail.poll([&](std::string_view line) { lines.emplace_back(line); });
  return lines;
}

TEST_CASE("a tail hands over whole lines once, waits for the rest, and notices a new file") {
  const TemporaryFile file;
  Tail tail(file.path);
  CHECK(lines_of(tail).empty());
  std::ofstream(file.path, std::ios::app) << "one\ntwo\nthr";
  CHECK(lines_of(tail) == std::vector<std::string>{"one", "two"});
  std::ofstream(file.path, std::ios::app) << "ee\n\n";
  CHECK(lines_of(tail) == std::vector<std::string>{"three"});
  CHECK(lines_of(tail).empty());
  std::ofstream(file.path, std::ios::trunc) << "a\n";
  CHECK(lines_of(tail) == std::vector<std::string>{"a"});
  std::ofstream(file.path, std::ios::app) << std::string(200'000, 'x') << "\n";
  CHECK(lines_of(tail).at(0).size() == 200'000);
}

TEST_CASE("drop counters are read from nftables' listing") {
  const auto counts = parse_counters(R"(table bridge ordeal {
	set cut {
		type ifname . ifname
		counter
		elements = { "p-n1" . "p-n2" counter packets 3 bytes 252,
			     "p-n2" . "p-n1" counter packets 0 bytes 0,
			     "p-n1" . "p-c1" . 9092 counter packets 18446744073709551615 bytes 1 }
	}
})");
  CHECK(counts == std::map<PortCut, std::uint64_t>{{{"p-n1", "p-n2", 0}, 3},
                                                   {{"p-n2", "p-n1", 0}, 0},
                                                   {{"p-n1", "p-c1", 9092}, 18446744073709551615ULL}});
  CHECK(parse_counters("elements = { \"a").empty());
  CHECK(parse_counters("").empty());
}

TEST_CASE("signals have names and numbers") {
  CHECK(signal_number("TERM") == SIGTERM);
  CHECK(signal_number("SIGKILL") == SIGKILL);
  CHECK(signal_number("10") == 10);
  CHECK_FALSE(signal_number("NOPE").has_value());
  CHECK_FALSE(signal_number("0").has_value());
}

TEST_CASE("the loop runs timers in order of time and lets a callback unwatch itself") {
  Loop loop;
  std::string order;
  const Instant start = now();
  loop.call_at(start + 2ms, [&] { order += 'b'; });
  loop.call_at(start + 1ms, [&] {
    order += 'a';
    loop.call_at(now(), [&] { order += 'x'; });
  });
  loop.call_at(start + 4ms, [&] { loop.stop(); });
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const Fd reader(ends[0]);
  Fd writer(ends[1]);
  writer.close();  // readable for ever: it must be seen once only
  int seen = 0;
  loop.watch(reader.get(), [&] {
    ++seen;
    loop.unwatch(reader.get());
  });
  loop.run();
  CHECK(order == "axb");
  CHECK(seen == 1);
}

TEST_CASE("netlink messages nest and are padded") {
  NetlinkMessage message(RTM_NEWLINK, 0);
  message.begin(1).attribute_text(2, "abc").begin(3).end().end();
  const auto& bytes = message.finish();
  REQUIRE(bytes.size() == sizeof(nlmsghdr) + 16);
  CHECK(bytes[0] == bytes.size());
  CHECK(bytes[sizeof(nlmsghdr)] == 16);      // the outer attribute's length covers the inner ones
  CHECK(bytes[sizeof(nlmsghdr) + 4] == 8);   // header and "abc" with its end
  CHECK(bytes[sizeof(nlmsghdr) + 12] == 4);  // an empty nested attribute
}

Result<Process> run(std::vector<std::string> argv) {
  const auto here = current_netns();
  REQUIRE(here.has_value());
  SpawnSpec spec;
  spec.argv = std::move(argv);
  return Process::spawn(spec, here->get());
}

// Entering even one's own network namespace takes a right that an unprivileged user lacks.
const bool kMaySpawn = ::geteuid() == 0;

TEST_CASE("a process is started, stopped, resumed, killed and reaped" * doctest::skip(!kMaySpawn)) {
  auto process = run({"sleep", "60"});
  REQUIRE_MESSAGE(process.has_value(), process.error().text);
  CHECK(process->running());
  CHECK(process->stopped() == false);
  CHECK(process->stop_and_verify(2s).has_value());
  CHECK(process->stopped() == true);
  CHECK(process->resume_and_verify(2s).has_value());
  CHECK_FALSE(process->reap_within(1ms));
  CHECK(process->signal(SIGKILL).has_value());
  CHECK(process->reap_within(2s));
  CHECK(process->exit()->signal == SIGKILL);
  CHECK_FALSE(process->signal(SIGKILL).has_value());
}

TEST_CASE("an exit code is told, and a program that is not there is refused" * doctest::skip(!kMaySpawn)) {
  auto process = run({"sh", "-c", "exit 9"});
  REQUIRE(process.has_value());
  CHECK(process->reap_within(2s));
  CHECK(process->exit()->code == 9);
  const auto missing = run({"/no/such/program"});
  REQUIRE_FALSE(missing.has_value());
  CHECK(missing.error().text.find("No such file") != std::string::npos);
}

}  // namespace
}  // namespace ordeal::nemesis
