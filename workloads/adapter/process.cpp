#include "workloads/adapter/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace ordeal::adapter {
namespace {

using Steady = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr std::size_t kLineMax = 64U << 20;
constexpr std::uint64_t kNobody = 0;  // messages without an id; only the handshake reads them
constexpr auto kPingAfter = 5s;       // of silence
constexpr const char* kPing = R"({"cmd":"ping"})";

void close_fd(int& fd) {
  if (fd >= 0) ::close(std::exchange(fd, -1));
}

// Between fork and exec: only what is safe in a copy of a program with threads.
[[noreturn]] void become(char* const* argv, int in, int out, pid_t parent) {
  ::setpgid(0, 0);  // a signal that asks our group to stop is for us: the adapter is told in its own words
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  ::dup2(in, STDIN_FILENO);
  ::dup2(out, STDOUT_FILENO);
  ::execvp(argv[0], argv);
  static constexpr char kText[] = "adapter: cannot be executed\n";
  const ssize_t told = ::write(STDERR_FILENO, kText, sizeof kText - 1);
  ::_exit(told < 0 ? 126 : 127);
}

std::string how_it_ended(int status) {
  if (WIFSIGNALED(status)) return fmt::format("was ended by signal {}", WTERMSIG(status));
  const int code = WEXITSTATUS(status);
  return fmt::format("ended by itself with code {}{}", code, code == 127 ? " (is the program there?)" : "");
}

// None: it is still there after `wait`.
std::optional<int> reap(pid_t pid, std::chrono::milliseconds wait) {
  const auto until = Steady::now() + wait;
  int status = 0;
  while (true) {
    const pid_t got = ::waitpid(pid, &status, WNOHANG);
    if (got == pid) return status;
    if (got < 0 && errno != EINTR) return 0;
    if (Steady::now() >= until) return std::nullopt;
    std::this_thread::sleep_for(5ms);
  }
}

}  // namespace

Result<std::shared_ptr<Process>> Process::start(const std::vector<std::string>& argv, Limits limits) {
  if (argv.empty()) return fail(Errc::invalid_argument, "an adapter needs a program");
  std::shared_ptr<Process> process(new Process(argv, limits));
  ORDEAL_TRY(process->spawn());
  process->inboxes_[kNobody];
  process->thread_ = std::thread([raw = process.get()] { raw->run(); });
  ORDEAL_TRY(process->shake_hands());
  return process;
}

std::string Process::name() const { return fmt::format("adapter '{}'", fmt::join(argv_, " ")); }

Status Process::spawn() {
  std::array<int, 2> to{-1, -1};
  std::array<int, 2> from{-1, -1};
  if (::pipe2(to.data(), O_CLOEXEC) != 0 || ::pipe2(from.data(), O_CLOEXEC) != 0)
    return fail(Errc::io, fmt::format("pipe for an adapter: {}", std::strerror(errno)));
  std::vector<char*> words;
  for (const std::string& word : argv_) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ == 0) become(words.data(), to[0], from[1], parent);
  ::close(to[0]);
  ::close(from[1]);
  in_ = to[1];
  out_ = from[0];
  if (pid_ < 0) return fail(Errc::io, fmt::format("fork for an adapter: {}", std::strerror(errno)));
  ::fcntl(in_, F_SETFL, O_NONBLOCK);
  ::fcntl(out_, F_SETFL, O_NONBLOCK);
  wakeup_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wakeup_ < 0) return fail(Errc::io, fmt::format("eventfd for an adapter: {}", std::strerror(errno)));
  last_word_ = last_ping_ = Steady::now();
  return {};
}

Status Process::shake_hands() {
  post(fmt::format(R"({{"cmd":"hello","protocol":{}}})", kProtocol));
  const auto said = take(kNobody, limits_.hello);
  if (!said) {
    fail_with(fmt::format("said nothing for {} s", limits_.hello.count() / 1000.0));
    return fail(*broken());
  }
  if (text_of(*said, "event") != "hello") {
    fail_with("did not begin with hello: " + shown(said->dump()));
    return fail(*broken());
  }
  const auto protocol = integer_of(*said, "protocol");
  if (protocol != kProtocol) {
    fail_with(fmt::format("speaks protocol {}, this harness speaks {}",
                          protocol ? std::to_string(*protocol) : "of no number", kProtocol));
    return fail(*broken());
  }
  hello_.client = text_of(*said, "client");
  hello_.library = text_of(*said, "library");
  hello_.version = text_of(*said, "version");
  hello_.runtime = text_of(*said, "runtime");
  for (const Message& feature : list_of(*said, "features")) {
    if (feature.is_string()) hello_.features.push_back(feature.get<std::string>());
  }
  if (hello_.client.empty() || hello_.version.empty()) {
    fail_with("its hello names no client and version");
    return fail(*broken());
  }
  const std::lock_guard lock(mutex_);
  if (broken_) return fail(*broken_);  // by what came before the hello, however good that was
  inboxes_.erase(kNobody);
  return {};
}

Process::~Process() {
  if (thread_.joinable()) {
    post(R"({"cmd":"shutdown"})");
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake();
    thread_.join();
  }
  close_fd(in_);  // the end of its input means the same as shutdown
  if (pid_ > 0 && !reap(pid_, ended_ || broken_ ? 0ms : limits_.shutdown)) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  close_fd(out_);
  close_fd(wakeup_);
}

std::uint64_t Process::open_client() {
  const std::lock_guard lock(mutex_);
  inboxes_[++last_id_];
  return last_id_;
}

void Process::close_client(std::uint64_t id) {
  const std::lock_guard lock(mutex_);
  inboxes_.erase(id);
}

void Process::post(std::string line) {
  {
    const std::lock_guard lock(mutex_);
    if (broken_) return;
    line += '\n';
    outbox_.push_back(std::move(line));
  }
  wake();
}

std::optional<Message> Process::take(std::uint64_t id, std::chrono::milliseconds wait) {
  std::unique_lock lock(mutex_);
  auto& inbox = inboxes_[id];
  changed_.wait_for(lock, wait, [&] { return !inbox.empty() || broken_; });
  if (inbox.empty()) return std::nullopt;
  Message message = std::move(inbox.front());
  inbox.pop_front();
  return message;
}

std::optional<Error> Process::broken() const {
  const std::lock_guard lock(mutex_);
  return broken_;
}

void Process::fail_with(const std::string& why) {
  {
    const std::lock_guard lock(mutex_);
    if (!broken_) broken_ = Error{Errc::internal, name() + " " + why};
  }
  changed_.notify_all();
}

void Process::wake() const {
  const std::uint64_t one = 1;
  if (wakeup_ >= 0 && ::write(wakeup_, &one, sizeof one) < 0) return;  // full: it is awake anyway
}

// ---- the thread

void Process::run() {
  sigset_t pipe_signal;
  ::sigemptyset(&pipe_signal);
  ::sigaddset(&pipe_signal, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &pipe_signal, nullptr);  // a closed pipe is an error to be read, not a death
  while (true) {
    bool stopping = false;
    bool pending = !writing_.empty();
    {
      const std::lock_guard lock(mutex_);
      stopping = stopping_;
      pending = pending || !outbox_.empty();
      if (broken_ || ended_) return;
    }
    if (stopping && !pending) return;
    std::array<pollfd, 3> fds{pollfd{wakeup_, POLLIN, 0}, pollfd{out_, POLLIN, 0},
                              pollfd{pending ? in_ : -1, POLLOUT, 0}};
    const int ready = ::poll(fds.data(), fds.size(), stopping ? static_cast<int>(limits_.shutdown.count()) : 500);
    if (stopping && ready == 0) return;  // it does not read any more
    std::uint64_t ignored = 0;
    if ((fds[0].revents & POLLIN) != 0 && ::read(wakeup_, &ignored, sizeof ignored) < 0) continue;
    if (fds[1].revents != 0 && !read_some()) return;
    if (fds[2].revents != 0 && !write_some()) return;
    watch_silence();
  }
}

bool Process::write_some() {
  while (true) {
    if (written_ == writing_.size()) {
      const std::lock_guard lock(mutex_);
      writing_.clear();
      written_ = 0;
      while (!outbox_.empty() && writing_.size() < (1U << 18)) {
        writing_ += outbox_.front();
        outbox_.pop_front();
      }
      if (writing_.empty()) return true;
    }
    const ssize_t count = ::write(in_, writing_.data() + written_, writing_.size() - written_);
    if (count < 0) {
      if (errno == EAGAIN || errno == EINTR) return true;
      on_end();
      return false;
    }
    written_ += static_cast<std::size_t>(count);
  }
}

bool Process::read_some() {
  std::array<char, 1 << 16> buffer;
  const ssize_t count = ::read(out_, buffer.data(), buffer.size());
  if (count < 0) return errno == EAGAIN || errno == EINTR;
  if (count == 0) {
    on_end();
    return false;
  }
  last_word_ = Steady::now();
  greeted_ = true;
  reading_.append(buffer.data(), static_cast<std::size_t>(count));
  std::size_t begin = 0;
  for (std::size_t at = reading_.find('\n', searched_); at != std::string::npos; at = reading_.find('\n', begin)) {
    on_line(std::string_view(reading_).substr(begin, at - begin));
    begin = at + 1;
  }
  reading_.erase(0, begin);
  searched_ = reading_.size();
  if (reading_.size() > kLineMax) fail_with(fmt::format("sent a line of more than {} bytes", kLineMax));
  return true;
}

void Process::on_line(std::string_view line) {
  Message message = Message::parse(line, nullptr, false);
  const auto event = message.is_object() ? message.find("event") : message.end();
  if (!message.is_object() || event == message.end() || !event->is_string()) {
    fail_with(fmt::format("printed what is no message: {}", shown(line)));
    return;
  }
  const auto id = message.find("id");
  const bool named = id != message.end() && id->is_number_unsigned();
  if (*event == "pong") return;
  if (*event == "error" && text_of(message, "cmd") == "ping") return;  // a sign of life too
  if (*event == "error" && !named) {
    fail_with(fmt::format("reports: {}", shown(line)));
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    const auto inbox = inboxes_.find(named ? id->get<std::uint64_t>() : kNobody);
    if (inbox == inboxes_.end()) return;  // a client that we have closed, or an event of a later version
    inbox->second.push_back(std::move(message));
  }
  changed_.notify_all();
}

// Its output ended, or it does not take input any more.
void Process::on_end() {
  bool asked = false;
  {
    const std::lock_guard lock(mutex_);
    asked = stopping_;
    ended_ = asked;
  }
  if (asked) return;
  const auto status = reap(pid_, 2s);
  if (status) pid_ = -1;
  fail_with(status ? how_it_ended(*status) : "closed its standard output");
}

void Process::watch_silence() {
  if (!greeted_) return;
  const auto now = Steady::now();
  if (now - last_word_ > limits_.silence && last_ping_ > last_word_) {
    fail_with(fmt::format("hangs: no line for {} s", limits_.silence.count() / 1000.0));
  } else if (now - std::max(last_word_, last_ping_) >
             std::min<std::chrono::nanoseconds>(kPingAfter, limits_.silence / 2)) {
    last_ping_ = now;
    post(kPing);
  }
}

}  // namespace ordeal::adapter
