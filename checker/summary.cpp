// The block that ends a trial in the terminal: the word, the sentence, the numbers that matter.
#include "checker/check.h"

#include <fmt/format.h>
#include "checker/story.h"

namespace ordeal::checker {
namespace {

std::uint64_t count_of(const Verdict& verdict, std::string_view property) {
  const Property* found = verdict.find(property);
  return found == nullptr ? 0 : found->count;
}

std::string numbers(const Verdict& verdict) {
  const Counts& counts = verdict.counts;
  std::string text =
      fmt::format("lost {} · duplicated {} · reordered {} · {} unknown write{}",
                  grouped(count_of(verdict, "lost-write")), grouped(count_of(verdict, "duplicate")),
                  grouped(count_of(verdict, "nonmonotonic-send") + count_of(verdict, "int-nonmonotonic-send") +
                          count_of(verdict, "real-time-order")),
                  grouped(counts.sends_info), counts.sends_info == 1 ? "" : "s");
  if (counts.sends_info > 0)
    text += fmt::format(": {} landed, {} did not", grouped(counts.info_landed), grouped(counts.info_absent));
  return text;
}

std::string drained(const Counts& counts) {
  return fmt::format("{}/{} partitions read to their end · {} operations · {} sent, {} read, {} audited",
                     counts.partitions_drained, counts.partitions, grouped(counts.operations), grouped(counts.sends_ok),
                     grouped(counts.reads), grouped(counts.audited));
}

// At most one story a property; the report has the rest.
std::string stories(const Verdict& verdict, Standing which, std::size_t most) {
  std::string text;
  for (const Property& property : verdict.properties) {
    if (most == 0) break;
    for (const Violation& violation : verdict.violations) {
      if (violation.property != property.name || violation.status != which) continue;
      text += fmt::format("      {}: {}\n", which == Standing::allowed ? property.name + " (allowed)" : property.name,
                          violation.title);
      for (const std::string& line : violation.story) text += "        " + line + "\n";
      --most;
      break;
    }
  }
  return text;
}

}  // namespace

std::string summary(const Verdict& verdict) {
  const char* word = verdict.outcome == Outcome::pass ? "PASS" : verdict.outcome == Outcome::fail ? "FAIL" : "UNKNOWN";
  std::string text = fmt::format("{}  {}\n", word, verdict.sentence);
  text += stories(verdict, Standing::violated, 4);
  text += stories(verdict, Standing::allowed, 2);
  text += "      " + numbers(verdict) + "\n";
  text += "      " + drained(verdict.counts) + "\n";
  for (const std::string& reason : verdict.reasons) {
    if (verdict.sentence.find(reason) == std::string::npos) text += "      also: " + reason + "\n";
  }
  return text;
}

}  // namespace ordeal::checker
