// ordeal-workload: the clients of a trial, in one process per client host.
//
//   ordeal-workload log   --config FILE --out DIR [--host NAME]   drive the cluster and record a history
//   ordeal-workload settings --config FILE --out DIR              print what brokers and topics are really set to
//   ordeal-workload audit --config FILE --out DIR [--host NAME]   read everything back to its proven end
//   ordeal-workload watch --config FILE --out FILE                write who leads what, for brokers that write no trace
//
// Status lines (JSON) go to standard output; SIGTERM and SIGINT stop the sending, outcomes are then awaited.
// Exit: 0 done, 2 the audit could not prove every end, 3 something of ours failed, 64 bad usage.
#include <fmt/format.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/post.hpp>
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "broker/real/real_env.h"
#include "workloads/adapter/family.h"
#include "workloads/client/rdkafka.h"
#include "workloads/log/audit.h"
#include "workloads/log/client_driver.h"
#include "workloads/log/env_clients.h"
#include "workloads/log/settings.h"
#include "workloads/log/stopwatch.h"
#include "workloads/watch/watch.h"

using namespace ordeal;
using nlohmann::json;

namespace {

constexpr int kExitUnproven = 2;
constexpr int kExitHarness = 3;
constexpr int kExitUsage = 64;

struct Arguments {
  std::string command;
  std::string config;
  std::string out;
  std::string host = "c1";
};

void print_usage() {
  fmt::print(stderr,
             "usage: ordeal-workload log|settings|audit --config FILE --out DIR [--host NAME]\n"
             "       ordeal-workload watch --config FILE --out FILE\n"
             "  log    create the topics, produce and consume until the configured time is over\n"
             "  settings  print the effective settings of brokers and topics\n"
             "  watch  write who leads what into a trace file, for brokers that write none, until SIGTERM\n"
             "  audit  read every partition to its proven end with the native client\n"
             "example: ordeal-workload log --config workload.json --out runs/latest/history --host c1\n");
}

std::optional<Arguments> parse_arguments(int argc, char** argv) {
  if (argc < 2) return std::nullopt;
  Arguments arguments;
  arguments.command = argv[1];
  for (int i = 2; i + 1 < argc; i += 2) {
    const std::string flag = argv[i];
    if (flag == "--config") {
      arguments.config = argv[i + 1];
    } else if (flag == "--out") {
      arguments.out = argv[i + 1];
    } else if (flag == "--host") {
      arguments.host = argv[i + 1];
    } else {
      fmt::print(stderr, "ordeal-workload: unknown option {}\n", flag);
      return std::nullopt;
    }
  }
  const bool known = arguments.command == "log" || arguments.command == "audit" || arguments.command == "settings" ||
                     arguments.command == "watch";
  if (!known || argc % 2 != 0 || arguments.config.empty() || arguments.out.empty()) return std::nullopt;
  return arguments;
}

void say(const json& line) {
  fmt::print("{}\n", line.dump());
  std::fflush(stdout);
}

int harness_failure(const Error& error) {
  say({{"event", "error"}, {"text", error.text}});
  fmt::print(stderr, "ordeal-workload: {}\n", error.to_string());
  return kExitHarness;
}

// The Env on a thread of its own, so that the main thread can watch signals and print.
class EnvThread {
 public:
  EnvThread() : world_(trace_, 2), thread_([this] { world_.scheduler.run(); }) {}
  ~EnvThread() {
    world_.scheduler.stop();
    thread_.join();
  }
  env::Env& env() { return world_.env; }

  // Runs `make(env)` on the run queue and waits for it, calling `meanwhile` about twice a second.
  template <class T, class Make>
  T run(Make make, const std::function<void()>& meanwhile) {
    struct Shared {
      std::mutex mutex;
      std::condition_variable ended;
      std::optional<T> result;
    };
    auto shared = std::make_shared<Shared>();
    boost::asio::post(world_.scheduler.context(), [this, make, shared] {
      auto body = [](Make inner, env::Env* env, std::shared_ptr<Shared> into) -> env::Task<> {
        T value = co_await inner(*env);
        const std::lock_guard lock(into->mutex);
        into->result.emplace(std::move(value));
        into->ended.notify_all();
      };
      world_.scheduler.spawn(body(make, &world_.env, shared), "main");
    });
    std::unique_lock lock(shared->mutex);
    while (!shared->ended.wait_for(lock, std::chrono::milliseconds(500), [&] { return shared->result.has_value(); })) {
      lock.unlock();
      meanwhile();
      lock.lock();
    }
    return std::move(*shared->result);
  }

 private:
  NullTrace trace_;
  real::RealEnv world_;
  std::thread thread_;
};

int block_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

bool signalled(int fd) {
  signalfd_siginfo info{};
  return read(fd, &info, sizeof info) == sizeof info;
}

void print_status(const workload::Progress& progress, const char* phase) {
  say({{"event", "status"},
       {"phase", phase},
       {"ops", progress.invoked.load() + progress.reads.load()},
       {"sends", progress.invoked.load()},
       {"ok", progress.ok.load()},
       {"info", progress.info.load()},
       {"fail", progress.fail.load()},
       {"reads", progress.reads.load()},
       {"connected", progress.connected.load()}});
}

Status create_topics(const workload::LogConfig& config, workload::EnvDriver& driver, EnvThread& world) {
  if (!config.create_topics) return {};
  static constexpr std::int64_t kTimeoutMs = 60000;
  if (config.client != "native") {  // topics are no part of what is tried: librdkafka makes them for every other client
    std::vector<client::NewTopicSpec> topics;
    for (const auto& topic : config.topics)
      topics.push_back({topic.name, topic.partitions, topic.replication, topic.configs});
    const client::ClientSettings settings{config.bootstrap, "ordeal-admin", config.request_timeout_ms};
    return client::create_topics(client::rdkafka_properties(settings), topics, kTimeoutMs);
  }
  auto make = [&driver](env::Env& env) -> env::Task<Status> {
    Status created = co_await driver.create_topics(env.scheduler.now() + std::chrono::milliseconds(kTimeoutMs));
    co_return created;
  };
  return world.run<Status>(make, [] {});
}

// Clients that live outside Env; with `native` nobody asks it for any.
Result<std::unique_ptr<client::ClientFamily>> make_family(const workload::LogConfig& config) {
  if (config.adapter_argv.empty()) return std::make_unique<client::RdFamily>(config.librdkafka);
  auto family = adapter::AdapterFamily::start(config.adapter_argv, config.adapter);
  if (!family) return fail(family.error());
  return std::move(*family);
}

void say_client(const client::ClientFamily& family) {
  say({{"event", "client"}, {"kind", family.kind()}, {"version", family.version()}, {"facts", family.facts()}});
}

int run_log(const Arguments& arguments, const workload::LogConfig& config, int signals) {
  workload::Progress progress;
  EnvThread world;
  const workload::MakeRecorder make_recorder = [&arguments](history::Header header) {
    const std::string path = arguments.out + "/" + header.writer + ".ohist";
    return history::Recorder::create(path, std::move(header));
  };
  workload::EnvDriver env_driver(world.env(), config, arguments.host, make_recorder, progress);
  const bool native = config.client == "native";
  const auto family = make_family(config);
  if (!family) return harness_failure(family.error());
  if (native) {
    const history::Header header = workload::native_header(config, arguments.host);
    say({{"event", "client"},
         {"kind", header.client_kind},
         {"version", header.client_version},
         {"facts", json::object()}});
  } else {
    say_client(**family);
  }
  const Status created = create_topics(config, env_driver, world);
  if (!created) return harness_failure(created.error().at("no usable cluster"));
  say({{"event", "topics_ready"}});

  workload::ClientDriver driver(config, **family, arguments.out, arguments.host, progress);
  auto start = [&env_driver, native](env::Env&) -> env::Task<Status> {
    Status opened = env_driver.open();
    if (opened) env_driver.start(native);
    co_return opened;
  };
  const Status opened = world.run<Status>(start, [] {});
  if (!opened) return harness_failure(opened.error());
  if (!native) {
    const Status started = driver.start();
    if (!started) return harness_failure(started.error());
  }
  say({{"event", "started"}});

  const Instant until =
      workload::monotonic_now() + std::chrono::milliseconds(static_cast<std::int64_t>(config.duration_s * 1000));
  while (workload::monotonic_now() < until && !signalled(signals) && !driver.failed()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(250));
    print_status(progress, "drive");
  }
  say({{"event", "stopping"}});
  Status ended;
  if (!native) ended = driver.join();
  auto stop = [&env_driver](env::Env&) -> env::Task<Status> {
    Status stopped = co_await env_driver.stop();
    co_return stopped;
  };
  const Status env_ended = world.run<Status>(stop, [&progress] { print_status(progress, "stop"); });
  print_status(progress, "done");
  if (!ended) return harness_failure(ended.error());
  if (!env_ended) return harness_failure(env_ended.error());
  if (progress.connected.load() == 0) {
    return harness_failure({Errc::timed_out, "no client completed a single operation"});
  }
  say({{"event", "done"}});
  return 0;
}

int run_settings(const workload::LogConfig& config) {
  EnvThread world;
  auto read = [&config](env::Env& env) -> env::Task<Result<workload::EffectiveSettings>> {
    auto settings = co_await workload::read_settings(env, config, env.scheduler.now() + 10s);
    co_return settings;
  };
  const auto settings = world.run<Result<workload::EffectiveSettings>>(read, [] {});
  if (!settings) return harness_failure(settings.error());
  json brokers = json::object();
  for (const auto& [node, values] : settings->brokers) brokers[std::to_string(node)] = values;
  say({{"event", "settings"},
       {"brokers", brokers},
       {"topics", settings->topics},
       {"replication", settings->replication}});
  return 0;
}

int run_audit(const Arguments& arguments, const workload::LogConfig& config) {
  const std::string writer = arguments.host + "-auditor";
  auto recorder =
      history::Recorder::create(arguments.out + "/" + writer + ".ohist", workload::native_header(config, writer));
  if (!recorder) return harness_failure(recorder.error());
  EnvThread world;
  std::atomic<std::uint64_t> records{0};
  history::Recorder* into = recorder->get();
  constexpr std::uint16_t kAuditProcess = 65000;
  auto audit = [&config, &records, into](env::Env& env) -> env::Task<workload::AuditReport> {
    workload::Auditor auditor(env, config, kAuditProcess, *into);
    workload::Auditor::OnProgress count = [&records](const workload::AuditReport& so_far) { records = so_far.records; };
    workload::AuditReport report = co_await auditor.run(std::move(count));
    co_return report;
  };
  const auto report = world.run<workload::AuditReport>(
      audit, [&records] { say({{"event", "status"}, {"phase", "audit"}, {"records", records.load()}}); });
  const Status closed = (*recorder)->close();
  if (!closed) return harness_failure(closed.error());
  say({{"event", "audited"},
       {"partitions", report.partitions},
       {"partitions_drained", report.proven},
       {"records", report.records},
       {"batches", report.batches}});
  return report.proven == report.partitions ? 0 : kExitUnproven;
}

int run_watch(const Arguments& arguments, int signals) {
  auto config = watch::load_watch_config(arguments.config);
  if (!config) {
    fmt::print(stderr, "ordeal-workload: {}\n", config.error().text);
    return kExitUsage;
  }
  std::FILE* out = std::fopen(arguments.out.c_str(), "ae");
  if (out == nullptr) return harness_failure({Errc::io, arguments.out + ": " + std::strerror(errno)});
  std::atomic<bool> lost{false};
  EnvThread world;
  watch::Watch watch(world.env(), std::move(*config), [out, &lost](const std::string& line) {
    if (std::fputs(line.c_str(), out) < 0 || std::fflush(out) != 0) lost = true;
  });
  auto start = [&watch](env::Env&) -> env::Task<Status> {
    watch.start();
    co_return Status{};
  };
  auto stop = [&watch](env::Env&) -> env::Task<Status> {
    co_await watch.stop();
    co_return Status{};
  };
  (void)world.run<Status>(start, [] {});  // cannot fail
  say({{"event", "started"}});
  while (!signalled(signals) && !lost) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  (void)world.run<Status>(stop, [] {});
  std::fclose(out);
  if (lost) return harness_failure({Errc::io, arguments.out + ": could not be written"});
  say({{"event", "done"}});
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && (std::string(argv[1]) == "--help" || std::string(argv[1]) == "-h")) {
    print_usage();
    return 0;
  }
  const auto arguments = parse_arguments(argc, argv);
  if (!arguments) {
    print_usage();
    return kExitUsage;
  }
  if (arguments->command == "watch") return run_watch(*arguments, block_signals());
  const auto config = workload::load_config(arguments->config);
  if (!config) {
    fmt::print(stderr, "ordeal-workload: {}\n", config.error().text);
    return kExitUsage;
  }
  const int signals = block_signals();
  if (arguments->command == "settings") return run_settings(*config);
  return arguments->command == "log" ? run_log(*arguments, *config, signals) : run_audit(*arguments, *config);
}
