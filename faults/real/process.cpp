#include "faults/real/process.h"

#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "faults/real/clock.h"

extern char** environ;

namespace ordeal::nemesis {

namespace {

// Kept as plain strings until after the fork, since the child should not allocate more than it must.
struct Prepared {
  std::vector<std::string> env;
  std::vector<char*> argv;
  std::vector<char*> envp;
};

Prepared prepare(const SpawnSpec& spec) {
  Prepared result;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    if (!spec.env.contains(text.substr(0, text.find('=')))) result.env.push_back(text);
  }
  for (const auto& [key, value] : spec.env) result.env.push_back(key + "=" + value);
  for (const std::string& argument : spec.argv) result.argv.push_back(const_cast<char*>(argument.c_str()));
  for (const std::string& entry : result.env) result.envp.push_back(const_cast<char*>(entry.c_str()));
  result.argv.push_back(nullptr);
  result.envp.push_back(nullptr);
  return result;
}

// In the child: sends errno and a word through the pipe, which closes by itself when exec succeeds.
[[noreturn]] void give_up(int report, const char* doing) {
  const std::string text = std::string(doing) + ": " + std::strerror(errno);
  (void)!::write(report, text.data(), text.size());
  ::_exit(127);
}

void redirect(int report, int fd, const std::string& path, int flags, int target) {
  if (fd < 0) fd = ::open(path.empty() ? "/dev/null" : path.c_str(), flags | O_CLOEXEC, 0644);
  if (fd < 0) give_up(report, path.c_str());
  if (::dup2(fd, target) < 0) give_up(report, "dup2");
}

[[noreturn]] void run_child(const SpawnSpec& spec, Prepared& prepared, int netns, int report) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::setpgid(0, 0);
  if (netns >= 0 && ::setns(netns, CLONE_NEWNET) != 0) give_up(report, "entering the host's network namespace");
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (const int number : {SIGPIPE, SIGINT, SIGTERM, SIGHUP}) ::signal(number, SIG_DFL);
  redirect(report, spec.stdin_fd, spec.stdin_path, O_RDONLY, 0);
  redirect(report, spec.stdout_fd, spec.stdout_path, O_WRONLY | O_CREAT | O_APPEND, 1);
  if (spec.stderr_fd < 0 && spec.stderr_path.empty()) {
    ::dup2(1, 2);
  } else {
    redirect(report, spec.stderr_fd, spec.stderr_path, O_WRONLY | O_CREAT | O_APPEND, 2);
  }
  if (!spec.cwd.empty() && ::chdir(spec.cwd.c_str()) != 0) give_up(report, spec.cwd.c_str());
  environ = prepared.envp.data();
  ::execvp(prepared.argv[0], prepared.argv.data());
  give_up(report, prepared.argv[0]);
}

// The process and all its descendants, each with its threads' state letters.
void collect_states(pid_t pid, std::string& states) {
  std::error_code error;
  const std::string tasks = fmt::format("/proc/{}/task", pid);
  for (const auto& task : std::filesystem::directory_iterator(tasks, error)) {
    std::ifstream stat(task.path() / "stat");
    std::string line;
    std::getline(stat, line);
    const std::size_t name_end = line.rfind(')');
    if (name_end != std::string::npos && name_end + 2 < line.size()) states += line[name_end + 2];
    std::ifstream children(task.path() / "children");
    for (pid_t child = 0; children >> child;) collect_states(child, states);
  }
}

}  // namespace

std::string ExitStatus::to_string() const {
  if (signal == 0) return fmt::format("exit code {}", code);
  return fmt::format("{} (signal {})", ::strsignal(signal), signal);
}

Result<Process> Process::spawn(const SpawnSpec& spec, int netns) {
  if (spec.argv.empty()) return fail(Errc::invalid_argument, "argv is empty");
  Prepared prepared = prepare(spec);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("opening a pipe");
  Fd read_end(ends[0]);
  Fd write_end(ends[1]);
  Process process;
  process.starts_ = spec.starts;
  process.pid_ = ::fork();
  if (process.pid_ < 0) return fail_errno("starting a process");
  if (process.pid_ == 0) run_child(spec, prepared, netns, write_end.get());
  ::setpgid(process.pid_, process.pid_);  // in both, so that neither can be too early; EACCES after exec is fine
  write_end.close();
  process.pidfd_ = Fd(static_cast<int>(::syscall(SYS_pidfd_open, process.pid_, 0)));
  char buffer[512];
  ssize_t got = 0;
  do {
    got = ::read(read_end.get(), buffer, sizeof buffer);
  } while (got < 0 && errno == EINTR);
  if (got > 0 || !process.pidfd_) {
    const std::string why = got > 0 ? std::string(buffer, static_cast<std::size_t>(got)) : "no pidfd (kernel too old)";
    ::kill(process.pid_, SIGKILL);
    ::waitpid(process.pid_, nullptr, 0);
    return fail(Errc::invalid_argument, fmt::format("cannot start {}: {}", spec.argv[0], why));
  }
  return process;
}

std::vector<pid_t> Process::acting() const { return starts_ ? starts_->pids() : std::vector<pid_t>{pid_}; }

Status Process::signal(int number) {
  if (!running()) return fail(Errc::not_found, "the process has ended");
  if (starts_) return starts_->signal(number);
  // Not reaped yet, so neither the pid nor the group id can belong to anybody else.
  if (::kill(-pid_, number) != 0) return fail_errno(fmt::format("sending signal {} to {}", number, pid_));
  return {};
}

bool Process::reap() {
  if (exit_) return true;
  siginfo_t info{};
  if (::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(pidfd_.get()), &info, WEXITED | WNOHANG | WNOWAIT) !=
      0) {
    return false;
  }
  if (info.si_pid == 0) return false;
  ::kill(-pid_, SIGKILL);                       // what it left behind in its group must not outlive it
  if (starts_) (void)starts_->signal(SIGKILL);  // nor what it started; mostly nobody is there any more
  ::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(pidfd_.get()), &info, WEXITED);
  ExitStatus status;
  if (info.si_code == CLD_EXITED) {
    status.code = info.si_status;
  } else {
    status.signal = info.si_status;
    status.core = info.si_code == CLD_DUMPED;
  }
  exit_ = status;
  return true;
}

bool Process::reap_within(Duration patience) {
  const Instant deadline = now() + patience;
  while (!reap()) {
    const Duration left = deadline - now();
    if (left <= Duration::zero()) return false;
    pollfd poll{pidfd_.get(), POLLIN, 0};
    const timespec timeout{left.count() / 1'000'000'000, left.count() % 1'000'000'000};
    ::ppoll(&poll, 1, &timeout, nullptr);
  }
  return true;
}

std::optional<bool> Process::stopped() const {
  std::string states;
  for (const pid_t pid : acting()) collect_states(pid, states);
  std::size_t stopped = 0;
  std::size_t alive = 0;
  for (const char state : states) {
    if (state == 'Z' || state == 'X') continue;
    ++alive;
    stopped += state == 'T' ? 1 : 0;
  }
  if (alive == 0 || (stopped != 0 && stopped != alive)) return std::nullopt;
  return stopped == alive;
}

int Process::threads() const {
  std::string states;
  for (const pid_t pid : acting()) collect_states(pid, states);
  return static_cast<int>(states.size());
}

Status Process::stop_and_verify(Duration patience) {
  ORDEAL_TRY(signal(SIGSTOP));
  for (const Instant deadline = now() + patience; now() < deadline; ::usleep(100)) {
    if (stopped() == true) return {};
  }
  return fail(Errc::timed_out, "not every thread stopped");
}

Status Process::resume_and_verify(Duration patience) {
  ORDEAL_TRY(signal(SIGCONT));
  for (const Instant deadline = now() + patience; now() < deadline; ::usleep(100)) {
    if (stopped() == false) return {};
  }
  return fail(Errc::timed_out, "a thread is still stopped");
}

std::optional<int> signal_number(const std::string& name) {
  int number = 0;
  if (std::from_chars(name.data(), name.data() + name.size(), number).ptr == name.data() + name.size() && number > 0 &&
      number < NSIG) {
    return number;
  }
  const std::string bare = name.starts_with("SIG") ? name.substr(3) : name;
  for (int candidate = 1; candidate < NSIG; ++candidate) {
    const char* known = ::sigabbrev_np(candidate);
    if (known != nullptr && bare == known) return candidate;
  }
  return std::nullopt;
}

}  // namespace ordeal::nemesis
