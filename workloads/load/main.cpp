// ordeal-load: a load generator for benchmarks. Prints one JSON object on standard output.
//
//   ordeal-load topic   --bootstrap H:P --topic T --partitions N --replication R [--topic-config k=v]...
//   ordeal-load produce --bootstrap H:P --topic T --partitions N [--acks all --size 1024 --seconds 5 --rate 0 ...]
//   ordeal-load fetch   --bootstrap H:P --topic T --partitions N [--seconds 5]
//   ordeal-load latency --bootstrap H:P --topic T --partitions N --rate R [--acks all --seconds 5]   producer and
//   consumer ordeal-load probe   --bootstrap H:P --topic T --partition 0 [--interval-us 2000 --seconds 30]    SIGUSR1:
//   a fault began ordeal-load ready   --bootstrap H:P --topic T --partitions N --replication R [--seconds 30] waits for
//   a first write
// Exit: 0 measured, 3 could not measure, 64 bad usage.
#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>

#include "workloads/load/load.h"

using namespace ordeal;
using nlohmann::json;

namespace {

volatile sig_atomic_t stop_requested = 0;
std::atomic<std::int64_t> fault_announced{0};

struct Arguments {
  std::string command;
  load::Options options;
  std::int32_t partition = 0;
  std::int32_t interval_us = 2000;
};

std::pair<std::string, std::string> key_value(const std::string& text) {
  const auto equals = text.find('=');
  if (equals == std::string::npos) throw std::invalid_argument("needs key=value");
  return {text.substr(0, equals), text.substr(equals + 1)};
}

// Throws std::invalid_argument or std::out_of_range for what does not parse.
bool set_option(Arguments& arguments, const std::string& flag, const std::string& value) {
  load::Options& options = arguments.options;
  if (flag == "--bootstrap")
    options.bootstrap = value;
  else if (flag == "--topic")
    options.topic = value;
  else if (flag == "--partitions")
    options.partitions = std::stoi(value);
  else if (flag == "--replication")
    options.replication = static_cast<std::int16_t>(std::stoi(value));
  else if (flag == "--topic-config")
    options.topic_configs.push_back(key_value(value));
  else if (flag == "--acks")
    options.acks = value;
  else if (flag == "--compression")
    options.compression = value;
  else if (flag == "--size")
    options.size = std::stoi(value);
  else if (flag == "--seconds")
    options.seconds = std::stod(value);
  else if (flag == "--rate")
    options.rate = std::stoll(value);
  else if (flag == "--linger-ms")
    options.linger_ms = std::stoi(value);
  else if (flag == "--batch-bytes")
    options.batch_bytes = std::stoi(value);
  else if (flag == "--mb-max")
    options.mb_max = std::stoll(value);
  else if (flag == "--queue-kb")
    options.queue_kb = std::stoi(value);
  else if (flag == "--property")
    options.properties.push_back(key_value(value));
  else if (flag == "--partition")
    arguments.partition = std::stoi(value);
  else if (flag == "--interval-us")
    arguments.interval_us = std::stoi(value);
  else
    return false;
  return true;
}

std::optional<Arguments> parse_arguments(int argc, char** argv) {
  Arguments arguments;
  if (argc < 2 || argc % 2 != 0) return std::nullopt;
  arguments.command = argv[1];
  for (int i = 2; i + 1 < argc; i += 2) {
    try {
      if (!set_option(arguments, argv[i], argv[i + 1])) {
        fmt::print(stderr, "ordeal-load: unknown option {}\n", argv[i]);
        return std::nullopt;
      }
    } catch (const std::exception& error) {
      fmt::print(stderr, "ordeal-load: {} {}: {}\n", argv[i], argv[i + 1], error.what());
      return std::nullopt;
    }
  }
  if (arguments.options.bootstrap.empty() || arguments.options.partitions < 1 || arguments.options.size < 1)
    return std::nullopt;
  return arguments;
}

json to_json(const load::Quantiles& q) {
  return {{"p50", q.p50}, {"p90", q.p90}, {"p99", q.p99}, {"p999", q.p999}, {"max", q.max}};
}

Result<json> measure(const Arguments& arguments) {
  if (arguments.command == "topic") {
    ORDEAL_TRY(load::make_topic(arguments.options));
    return json{{"topic", arguments.options.topic}};
  }
  if (arguments.command == "produce") {
    const auto figures = load::produce(arguments.options);
    if (!figures) return fail(figures.error());
    return json{{"records", figures->records},
                {"acked", figures->acked},
                {"stored", figures->stored},
                {"errors", figures->errors},
                {"seconds", figures->seconds},
                {"cpu_s", figures->cpu_s},
                {"records_per_s", figures->records_per_s},
                {"mb_per_s", figures->mb_per_s},
                {"latency_us", to_json(figures->latency_us)}};
  }
  if (arguments.command == "fetch") {
    const auto figures = load::fetch(arguments.options);
    if (!figures) return fail(figures.error());
    return json{{"records", figures->records}, {"errors", figures->errors},
                {"seconds", figures->seconds}, {"records_per_s", figures->records_per_s},
                {"cpu_s", figures->cpu_s},     {"mb_per_s", figures->mb_per_s}};
  }
  if (arguments.command == "latency") {
    const auto figures = load::latency(arguments.options);
    if (!figures) return fail(figures.error());
    return json{{"acked", figures->acked},
                {"received", figures->received},
                {"errors", figures->errors},
                {"seconds", figures->seconds},
                {"cpu_s", figures->cpu_s},
                {"behind_us", figures->behind_us},
                {"ack_us", to_json(figures->ack_us)},
                {"end_to_end_us", to_json(figures->end_to_end_us)}};
  }
  if (arguments.command == "ready") {
    const auto figures = load::ready(arguments.options);
    if (!figures) return fail(figures.error());
    return json{{"ports_ns", figures->ports_ns}, {"topic_ns", figures->topic_ns}, {"acked_ns", figures->acked_ns}};
  }
  const auto figures = load::probe(
      arguments.options, arguments.partition, arguments.interval_us, [] { return stop_requested != 0; },
      [] { return fault_announced.load(); });
  if (!figures) return fail(figures.error());
  json acks = json::array();
  for (const auto& ack : figures->acks) acks.push_back({ack.sent_ns, ack.acked_ns});
  return json{{"acks", acks}, {"errors", figures->errors}};
}

}  // namespace

int main(int argc, char** argv) {
  const auto arguments = parse_arguments(argc, argv);
  static constexpr std::array<std::string_view, 6> kCommands{"topic", "produce", "fetch", "latency", "probe", "ready"};
  const bool known = arguments && std::ranges::find(kCommands, arguments->command) != kCommands.end();
  if (!known) {
    fmt::print(
        stderr,
        "usage: ordeal-load topic|produce|fetch|latency|probe|ready --bootstrap HOST:PORT[,..] --topic NAME "
        "--partitions N ...\n"
        "example: ordeal-load produce --bootstrap 127.0.0.1:9092 --topic t --partitions 6 --acks all --size 1024\n");
    return 64;
  }
  signal(SIGTERM, [](int) { stop_requested = 1; });
  signal(SIGUSR1, [](int) { fault_announced = load::now_ns(); });
  const auto figures = measure(*arguments);
  if (!figures) {
    fmt::print(stderr, "ordeal-load: {}\n", figures.error().to_string());
    return 3;
  }
  fmt::print("{}\n", figures->dump());
  return 0;
}
