#include "faults/real/tail.h"

#include <sys/stat.h>

namespace ordeal::nemesis {

void Tail::poll(const std::function<void(std::string_view)>& line) {
  if (!file_) file_ = Fd(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file_) return;
  struct stat facts{};
  if (::fstat(file_.get(), &facts) != 0) return;
  if (static_cast<std::uint64_t>(facts.st_size) < offset_) {
    offset_ = 0;
    partial_.clear();
  }
  char buffer[64 * 1024];
  while (true) {
    const ssize_t got = ::pread(file_.get(), buffer, sizeof buffer, static_cast<off_t>(offset_));
    if (got <= 0) return;
    offset_ += static_cast<std::uint64_t>(got);
    partial_.append(buffer, static_cast<std::size_t>(got));
    std::size_t from = 0;
    for (std::size_t end = partial_.find('\n'); end != std::string::npos; end = partial_.find('\n', from)) {
      if (end > from) line(std::string_view(partial_).substr(from, end - from));
      from = end + 1;
    }
    partial_.erase(0, from);
  }
}

}  // namespace ordeal::nemesis
