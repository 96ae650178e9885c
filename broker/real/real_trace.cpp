#include "broker/real/real_trace.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>

namespace ordeal::real {
namespace {

constexpr auto kFlushInterval = std::chrono::milliseconds(50);

std::string_view severity_name(Severity severity) {
  switch (severity) {
    case Severity::debug:
      return "debug";
    case Severity::info:
      return "info";
    case Severity::warn:
      return "warn";
    case Severity::error:
      return "error";
  }
  return "unknown";
}

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  out += '"';
}

std::int64_t nanos(clockid_t clock) {
  timespec at{};
  ::clock_gettime(clock, &at);
  return std::int64_t{at.tv_sec} * 1'000'000'000 + at.tv_nsec;
}

std::string json_line(std::int64_t monotonic, std::int64_t wall_ms, NodeId node, Severity severity,
                      std::string_view kind, std::initializer_list<TraceField> fields) {
  std::string line = fmt::format(R"({{"t":{},"w":{},"n":{},"s":"{}","k":"{}")", monotonic, wall_ms, node,
                                 severity_name(severity), kind);
  for (const TraceField& field : fields) {
    line += ',';
    append_json_string(line, field.key);
    line += ':';
    if (const auto* number = std::get_if<std::int64_t>(&field.value)) {
      line += std::to_string(*number);
    } else {
      append_json_string(line, std::get<std::string_view>(field.value));
    }
  }
  line += "}\n";
  return line;
}

// For people: "2026-11-20T09:22:09.123Z INFO  n1 partition.leader topic=t partition=0".
std::string readable_line(std::int64_t wall_ms, NodeId node, Severity severity, std::string_view kind,
                          std::initializer_list<TraceField> fields) {
  const auto seconds = static_cast<std::time_t>(wall_ms / 1000);
  std::string line = fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z {:5} n{} {}", fmt::gmtime(seconds), wall_ms % 1000,
                                 severity_name(severity), node, kind);
  for (const TraceField& field : fields) {
    line += ' ';
    line += field.key;
    line += '=';
    std::visit([&line](const auto& value) { line += fmt::format("{}", value); }, field.value);
  }
  line += '\n';
  return line;
}

// Writes all of it; false when the descriptor is beyond use. A full subscriber socket counts as beyond use.
bool write_fully(int fd, std::string_view text, bool is_socket) {
  while (!text.empty()) {
    const ssize_t put = is_socket ? ::send(fd, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL)
                                  : ::write(fd, text.data(), text.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(put));
  }
  return true;
}

}  // namespace

Result<std::unique_ptr<RealTrace>> RealTrace::open(Options options) {
  std::unique_ptr<RealTrace> trace(new RealTrace(std::move(options)));
  ORDEAL_TRY(trace->start());
  return trace;
}

Status RealTrace::start() {
  if (!options_.file.empty()) {
    file_ = ::open(options_.file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (file_ < 0) return fail(Errc::io, fmt::format("trace file {}: {}", options_.file, std::strerror(errno)));
  }
  if (!options_.socket.empty()) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (options_.socket.size() >= sizeof address.sun_path) {
      return fail(Errc::invalid_argument, fmt::format("trace socket {}: path too long", options_.socket));
    }
    std::memcpy(address.sun_path, options_.socket.c_str(), options_.socket.size() + 1);
    ::unlink(options_.socket.c_str());
    listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener_ < 0 || ::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(listener_, 8) != 0) {
      return fail(Errc::io, fmt::format("trace socket {}: {}", options_.socket, std::strerror(errno)));
    }
  }
  thread_ = std::thread([this] { run(); });
  return {};
}

RealTrace::~RealTrace() {
  if (thread_.joinable()) {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }
  if (file_ >= 0) ::close(file_);
  if (listener_ >= 0) {
    ::close(listener_);
    ::unlink(options_.socket.c_str());
  }
  for (const int subscriber : subscribers_) ::close(subscriber);
}

void RealTrace::emit(Severity severity, std::string_view kind, std::initializer_list<TraceField> fields) {
  const std::int64_t monotonic = nanos(CLOCK_MONOTONIC);
  const std::int64_t wall_ms = nanos(CLOCK_REALTIME) / 1'000'000;
  if (severity >= options_.log_from) {
    const std::string line = readable_line(wall_ms, options_.node, severity, kind, fields);
    write_fully(STDERR_FILENO, line, false);
  }
  std::string line = json_line(monotonic, wall_ms, options_.node, severity, kind, fields);
  {
    const std::lock_guard lock(mutex_);
    if (queue_.size() >= options_.queue_max) {
      ++dropped_;
      return;
    }
    queue_.push_back(std::move(line));
  }
  wake_.notify_one();
}

void RealTrace::run() {
  std::vector<std::string> lines;
  while (true) {
    bool stopping = false;
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, kFlushInterval, [this] { return stopping_ || !queue_.empty(); });
      lines.swap(queue_);
      if (dropped_ > 0) lines.push_back(dropped_line(std::exchange(dropped_, 0)));
      stopping = stopping_;
    }
    accept_subscribers();
    write_out(lines);
    lines.clear();
    if (stopping) return;
  }
}

std::string RealTrace::dropped_line(std::uint64_t count) const {
  return json_line(nanos(CLOCK_MONOTONIC), nanos(CLOCK_REALTIME) / 1'000'000, options_.node, Severity::error,
                   "trace.dropped", {TraceField("count", static_cast<std::int64_t>(count))});
}

void RealTrace::accept_subscribers() {
  if (listener_ < 0) return;
  while (true) {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    subscribers_.push_back(fd);
  }
}

void RealTrace::write_out(const std::vector<std::string>& lines) {
  if (lines.empty()) return;
  std::string all;
  for (const std::string& line : lines) all += line;
  if (file_ >= 0 && !write_fully(file_, all, false)) {
    fmt::print(stderr, "trace file {}: {}: later events are lost\n", options_.file, std::strerror(errno));
    const std::lock_guard lock(mutex_);
    dropped_ += lines.size();
  }
  std::erase_if(subscribers_, [&all](int fd) {
    if (write_fully(fd, all, true)) return false;
    ::close(fd);
    return true;
  });
}

}  // namespace ordeal::real
