#include "faults/real/journal.h"

#include "broker/base/check.h"
#include "faults/real/clock.h"

namespace ordeal::nemesis {

using nlohmann::json;

namespace {
constexpr std::size_t kBeforeFileMax = 100;  // a run without a file must not collect for ever
}

Status Journal::open_file(const std::string& path) {
  Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!file) return fail_errno("opening " + path);
  file_ = std::move(file);
  for (const json& line : before_file_) write(file_.get(), line);
  before_file_.clear();
  return {};
}

void Journal::write(int fd, const json& line) {
  const std::string text = line.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t wrote = ::write(fd, text.data() + done, text.size() - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0 && fd == output_) {  // nobody listens any more; end of input will end us in order
      output_gone_ = true;
      return;
    }
    ORDEAL_CHECK(wrote > 0, "faults.jsonl cannot be written: {}; faults without a record make every verdict void",
                 std::strerror(errno));
    done += static_cast<std::size_t>(wrote);
  }
}

std::int64_t Journal::event(const std::string& name, json fields) {
  const std::int64_t t = now().time_since_epoch().count();
  json line = {{"t", t}, {"event", name}};
  line.update(fields);
  if (file_) {
    write(file_.get(), line);
  } else if (before_file_.size() < kBeforeFileMax) {
    before_file_.push_back(line);
  }
  if (!output_gone_) write(output_, line);
  return t;
}

void Journal::reply(const json& re, json fields) {
  if (re.is_null() || output_gone_) return;
  json line = {{"re", re}, {"ok", true}};
  line.update(fields);
  write(output_, line);
}

void Journal::refuse(const json& re, const std::string& error) {
  if (output_gone_) return;
  if (re.is_null()) {
    event("error", {{"error", error}});
  } else {
    write(output_, {{"re", re}, {"ok", false}, {"error", error}});
  }
}

}  // namespace ordeal::nemesis
