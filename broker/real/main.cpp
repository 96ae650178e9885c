// ordeal-broker: one broker (and Raft voter) of a cluster on the real Env.
//
//   ordeal-broker --config FILE [--set key=value]... [--check-config]
//
// When it serves clients it prints `ordeal-broker ready node=1 client=10.77.0.11:9092`. SIGTERM and SIGINT shut it down
// in order: leaders move away, logs are flushed, exit 0; a second signal ends it at once. Exit: 0 clean, 1 the broker
// failed (the reason is its last line), 64 bad usage or configuration.
#include <fmt/format.h>
#include <malloc.h>
#include <signal.h>

#include <boost/asio/signal_set.hpp>
#include <cstdio>
#include <fstream>
#include <optional>
#include <sstream>

#include "broker/base/config.h"
#include "broker/mutation/mutation.h"
#include "broker/real/real_env.h"
#include "broker/real/real_trace.h"
#include "broker/server/broker.h"

using namespace ordeal;

namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 64;

struct Arguments {
  std::string config;
  std::vector<std::string> sets;
  bool check_only = false;
};

void print_usage(std::FILE* to) {
  fmt::print(to,
             "usage: ordeal-broker --config FILE [--set key=value]... [--check-config]\n"
             "  --config FILE     server.properties with Kafka's key names\n"
             "  --set key=value   overrides one key; may be repeated\n"
             "  --check-config    reads the configuration, says what is wrong with it, and ends\n"
             "  --version\n"
             "example: ordeal-broker --config server.properties --set log.retention.hours=1\n");
}

std::optional<Arguments> parse_arguments(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--check-config") {
      arguments.check_only = true;
    } else if (flag == "--config" && i + 1 < argc) {
      arguments.config = argv[++i];
    } else if (flag == "--set" && i + 1 < argc) {
      arguments.sets.emplace_back(argv[++i]);
    } else {
      fmt::print(stderr, "ordeal-broker: unknown option or missing value: {}\n", flag);
      return std::nullopt;
    }
  }
  if (arguments.config.empty()) return std::nullopt;
  return arguments;
}

Result<BrokerConfig> read_config(const Arguments& arguments) {
  std::ifstream file(arguments.config);
  if (!file) return fail(Errc::not_found, arguments.config + ": cannot be read");
  std::ostringstream text;
  text << file.rdbuf();
  return parse_broker_config(text.str(), arguments.config, arguments.sets);
}

Result<std::unique_ptr<mutation::Switches>> make_switches(const BrokerConfig& config) {
  auto switches = std::make_unique<mutation::Switches>();
  for (const std::string& name : config.mutations) {
    const auto bug = mutation::find_bug(name);
    if (!bug) return fail(Errc::invalid_argument, fmt::format("ordeal.mutations: {} is no known bug", name));
    switches->turn_on(*bug);
    if (!switches->is_on(*bug)) {
      return fail(Errc::unsupported, fmt::format("ordeal.mutations: {}: this build leaves the bug switches out", name));
    }
  }
  return switches;
}

// The first signal shuts down in order, also while the broker is still starting; a second one ends at once.
env::Task<> stop_on_signal(real::RealScheduler* scheduler, server::Broker* broker, boost::asio::signal_set* signals) {
  env::OneShot<int> signalled(*scheduler);
  signals->async_wait([&signalled](const boost::system::error_code& error, int number) {
    if (!error) signalled.set(number);
  });
  co_await signalled.wait();
  signals->async_wait([](const boost::system::error_code& error, int number) {
    if (!error) std::_Exit(128 + number);
  });
  co_await broker->stop();
  scheduler->stop();
}

env::Task<> start(real::RealScheduler* scheduler, server::Broker* broker, const BrokerConfig* config, int* exit_code) {
  Status started = co_await broker->start();
  if (started) {
    fmt::print("ordeal-broker ready node={} client={}\n", config->node_id, config->listener("CLIENT")->to_string());
    std::fflush(stdout);
  } else if (started.error().code != Errc::closed) {  // closed: a signal came first, and stop_on_signal sees to the end
    fmt::print(stderr, "ordeal-broker: {}\n", started.error().to_string());
    *exit_code = kExitFailed;
    scheduler->stop();
  }
}

// Says at once that a switched-on bug has decided something: the broker's own account comes when it stops, and one that
// is killed right then gives none.
env::Task<> tell_first_uses(env::Env* env, const mutation::Switches* switches) {
  constexpr Duration kPause = std::chrono::milliseconds(1);
  std::vector<const mutation::BugInfo*> waiting;
  for (const mutation::BugInfo& bug : mutation::all_bugs())
    if (switches->is_on(bug.bug)) waiting.push_back(&bug);
  while (!waiting.empty()) {
    co_await env->scheduler.sleep_for(kPause);
    std::erase_if(waiting, [env, switches](const mutation::BugInfo* bug) {
      const auto count = static_cast<std::int64_t>(switches->ran(bug->bug));
      if (count > 0) env->trace.info("mutation.ran", {{"name", bug->name}, {"count", count}});
      return count > 0;
    });
  }
}

void block_signals(int how) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  pthread_sigmask(how, &set, nullptr);
}

// Frames and reads of a megabyte come and go all the time. Left to its defaults the allocator gives each back to the
// kernel and asks again: every page is faulted in and zeroed anew, 400,000 times for each gigabyte produced with three
// replicas.
void keep_large_blocks() {
  constexpr int kLargeBlock = 32 << 20;  // glibc allows no more
  constexpr int kKeptAtTop = 16 << 20;
  mallopt(M_MMAP_THRESHOLD, kLargeBlock);
  mallopt(M_TRIM_THRESHOLD, kKeptAtTop);
}

int serve(const BrokerConfig& config) {
  auto switches = make_switches(config);
  if (!switches) {
    fmt::print(stderr, "ordeal-broker: {}\n", switches.error().text);
    return kExitUsage;
  }
  real::RealTrace::Options trace_options;
  trace_options.node = config.node_id;
  trace_options.file = config.trace_file;
  auto trace = real::RealTrace::open(trace_options);
  if (!trace) {
    fmt::print(stderr, "ordeal-broker: {}\n", trace.error().to_string());
    return kExitFailed;
  }
  real::RealEnv world(**trace, static_cast<std::size_t>(config.io_threads));
  // A failed sync or a store that may have lost writes ends the process: it must not go on serving.
  const auto fatal = [](const Error& error) {
    fmt::print(stderr, "ordeal-broker: fatal: {}\n", error.to_string());
    std::fflush(stderr);
    std::_Exit(kExitFailed);
  };
  int exit_code = 0;
  {
    boost::asio::signal_set signals(world.scheduler.context(), SIGTERM, SIGINT);
    block_signals(SIG_UNBLOCK);
    server::Broker broker(world.env, config, **switches, fatal);
    world.scheduler.spawn(stop_on_signal(&world.scheduler, &broker, &signals), "signals");
    world.scheduler.spawn(start(&world.scheduler, &broker, &config, &exit_code), "start");
    if (!config.mutations.empty()) world.scheduler.spawn(tell_first_uses(&world.env, switches->get()), "mutations");
    world.scheduler.run();
  }
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  block_signals(SIG_BLOCK);  // one that comes before we listen waits instead of killing
  const std::string first = argc > 1 ? argv[1] : "";
  if (first == "--help" || first == "-h") {
    print_usage(stdout);
    return 0;
  }
  if (first == "--version") {
    fmt::print("ordeal-broker {}{}\n", ORDEAL_VERSION, ORDEAL_MUTATIONS ? " (with bug switches)" : "");
    return 0;
  }
  const auto arguments = parse_arguments(argc, argv);
  if (!arguments) {
    print_usage(stderr);
    return kExitUsage;
  }
  const auto config = read_config(*arguments);
  if (!config) {
    fmt::print(stderr, "ordeal-broker: {}\n", config.error().text);
    return kExitUsage;
  }
  if (arguments->check_only) {
    fmt::print("ordeal-broker: {} is fine\n", arguments->config);
    return 0;
  }
  keep_large_blocks();
  return serve(*config);
}
