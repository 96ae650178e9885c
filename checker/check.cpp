// The order of the work: index, promises, checks, second opinion, verdict.
#include "checker/check.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include "broker/base/check.h"
#include "checker/checks.h"
#include "checker/settings.h"
#include "checker/story.h"

namespace ordeal::checker {
namespace {

// Per property and partition, decided before anything is looked for.
struct PromiseBook {
  Findings::PromiseTable promise;
  std::array<std::vector<std::string>, kProps> because;
};

PromiseBook make_promises(const Index& index, const Evidence& evidence, const std::string& set) {
  PromiseBook book;
  const Promises& matrix = Promises::standard();
  for (const Partition& partition : index.partitions) {
    const Facts facts = evidence.facts(partition.name);
    for (std::size_t prop = 0; prop < kProps; ++prop) {
      Judgement judgement = matrix.judge(matrix.properties()[prop].name, facts, set);
      book.promise[prop].push_back(judgement.promise);
      book.because[prop].push_back(std::move(judgement.because));
    }
  }
  return book;
}

// Partitions share nothing that these checks write, so they are dealt out to threads.
void check_partitions(Index& index, Acks acks, unsigned threads, const Findings::PromiseTable& table, std::size_t keep,
                      Findings& findings) {
  std::vector<Findings> parts(index.partitions.size(), Findings(table, keep));
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    for (std::size_t p = next++; p < index.partitions.size(); p = next++) {
      const auto object = static_cast<std::uint16_t>(p);
      check_log(index, object, parts[p]);
      check_real_time(index, object, parts[p]);
      check_ends(index, object, acks, parts[p]);
      check_batches(index, object, parts[p]);
    }
  };
  const std::size_t extra = std::min<std::size_t>(std::max(threads, 1U), index.partitions.size());
  std::vector<std::jthread> pool;
  for (std::size_t i = 1; i < extra; ++i) pool.emplace_back(work);
  work();
  pool.clear();  // joins
  for (Findings& part : parts)
    findings.merge(std::move(part));  // in order of partitions: the same on any number of threads
}

// The settings to judge by: what the trial declared, weakened by what any client says of itself.
Result<Settings> effective_settings(const history::History& history, const Context& context,
                                    std::vector<std::string>& notes) {
  Settings settings = context.settings;
  for (const history::FileView& file : history.files) {
    auto weaker = weakest(settings, file.header.config, notes, file.header.writer);
    if (!weaker) return fail(weaker.error());
    settings = *weaker;
  }
  return settings;
}

class Judge {
 public:
  Judge(Index& index, const Context& context, const Evidence& evidence, const PromiseBook& book, Findings& findings)
      : index_(index), context_(context), evidence_(evidence), book_(book), findings_(findings) {}

  Verdict judge() {
    verdict_.run_id = context_.run_id.empty() ? run_id() : context_.run_id;
    verdict_.promise_set = context_.promise_set;
    verdict_.counts = index_.counts;
    verdict_.counts.partitions = index_.partitions.size();
    verdict_.counts.partitions_drained =
        static_cast<std::uint64_t>(std::ranges::count_if(index_.partitions, &Partition::drained));
    verdict_.counts.faults_acted = evidence_.counted();
    weak_settings();
    properties();
    missing_evidence();
    outcome();
    return std::move(verdict_);
  }

 private:
  std::string run_id() const {
    return index_.history->files.empty() ? std::string() : index_.history->files.front().header.run_id;
  }
  void unknown(std::string reason) { unknowns_.push_back(std::move(reason)); }

  void weak_settings() {
    const Facts facts = setting_facts(context_.settings);
    for (const Weakness& weak : Promises::standard().weaknesses(context_.promise_set, facts))
      failures_.push_back(fmt::format("the promise \"{}\" needs {}={}, but the trial ran with {}: {}",
                                      context_.promise_set, weak.fact, weak.needs, weak.has, weak.because));
    Property property;
    property.name = "settings";
    property.title = fmt::format("settings are strong enough for the promise \"{}\"", context_.promise_set);
    property.count = property.violated = failures_.size();
    property.status = failures_.empty() ? Standing::held : Standing::violated;
    property.why = failures_.empty() ? "effective settings were read back" : failures_.front();
    if (context_.promise_set != "declared") verdict_.properties.push_back(std::move(property));
  }

  void properties() {
    std::vector<Finding> kept;
    for (std::size_t p = 0; p < kProps; ++p) {
      const Findings::Tally& tally = findings_.of(static_cast<Prop>(p));
      kept.insert(kept.end(), tally.kept_violated.begin(), tally.kept_violated.end());
      kept.insert(kept.end(), tally.kept_allowed.begin(), tally.kept_allowed.end());
    }
    const Locator locator(index_, kept);
    for (std::size_t p = 0; p < kProps; ++p) one_property(static_cast<Prop>(p), locator);
  }

  void one_property(Prop prop, const Locator& locator) {
    const auto p = static_cast<std::size_t>(prop);
    const Findings::Tally& tally = findings_.of(prop);
    Property property;
    property.name = Promises::standard().properties()[p].name;
    property.title = Promises::standard().properties()[p].title;
    property.count = tally.total();
    property.violated = tally.violated;
    property.promised = strongest(prop);
    property.why = why(prop);
    property.status = tally.violated > 0  ? Standing::violated
                      : undecided(prop)   ? Standing::unknown
                      : tally.allowed > 0 ? Standing::allowed
                                          : Standing::held;
    const StoryTeller teller{index_, locator, evidence_, context_};
    const std::size_t first = verdict_.violations.size();
    bool doubted = false;
    for (const Finding& finding : tally.kept_violated) doubted |= !tell(teller, finding, Standing::violated);
    if (verdict_.violations.size() > first) property.first_violation = first;
    for (const Finding& finding : tally.kept_allowed) doubted |= !tell(teller, finding, Standing::allowed);
    if (doubted) {
      unknown(fmt::format("the checker's second opinion disagrees about {}: a fault of the checker, please report it",
                          property.name));
      if (!property.first_violation && property.status == Standing::violated) property.status = Standing::unknown;
    }
    if (tally.client > 0) property.why += fmt::format("; {} charged to the client", grouped(tally.client));
    if (tally.stale > 0) property.why += fmt::format("; {} stale answers, allowed", grouped(tally.stale));
    if (property.status == Standing::violated) failures_.push_back(headline(prop, tally));
    verdict_.properties.push_back(std::move(property));
  }

  bool tell(const StoryTeller& teller, const Finding& finding, Standing status) {
    Violation violation;
    const auto p = static_cast<std::size_t>(finding.prop);
    const std::string& because = book_.because[p][finding.object];
    std::string promise;
    if (status == Standing::violated) promise = "promised: " + because;
    if (status == Standing::allowed && finding.because == Because::matrix) promise = "allowed: " + because;
    if (!teller.tell(finding, status, promise, violation)) return false;
    verdict_.violations.push_back(std::move(violation));
    return true;
  }

  bool undecided(Prop prop) const {
    const Findings::Tally& tally = findings_.of(prop);
    if (strongest(prop) != Promise::promised) return false;
    if (tally.unknown > 0) return true;
    return prop == Prop::lost_write && findings_.of(Prop::unseen).unknown > 0;
  }

  Promise strongest(Prop prop) const {
    const auto& promises = book_.promise[static_cast<std::size_t>(prop)];
    Promise best = promises.empty() ? Promise::promised : promises.front();
    for (const Promise promise : promises) best = std::min(best, promise);
    return best;
  }

  // The reason for the strongest promise, and where it is weaker.
  std::string why(Prop prop) const {
    const auto p = static_cast<std::size_t>(prop);
    const Promise best = strongest(prop);
    std::string text;
    std::string weaker_text;
    std::size_t weaker = 0;
    for (std::size_t object = 0; object < book_.promise[p].size(); ++object) {
      if (book_.promise[p][object] == best && text.empty()) text = book_.because[p][object];
      if (book_.promise[p][object] == best) continue;
      if (weaker++ == 0) weaker_text = book_.because[p][object];
    }
    if (weaker > 0)
      text += fmt::format("; not promised in {} of {} partitions: {}", weaker, book_.promise[p].size(), weaker_text);
    if (prop == Prop::duplicate && findings_.of(prop).unknown > 0)
      text += fmt::format("; {} copies without batch evidence, so nobody can be charged", findings_.of(prop).unknown);
    return text;
  }

  std::string headline(Prop prop, const Findings::Tally& tally) const {
    const Finding& first = tally.kept_violated.front();
    const std::string where = index_.partitions[first.object].name.to_string();
    const std::string& because = book_.because[static_cast<std::size_t>(prop)][first.object];
    return fmt::format("{}: {}, {} time{}, first in {} (promised: {})", prop_name(prop), broken_title(prop),
                       grouped(tally.violated), tally.violated == 1 ? "" : "s", where, because);
  }

  static std::string_view broken_title(Prop prop) {
    static constexpr std::array<std::string_view, kProps> kTitles{
        "an acknowledged write is gone",
        "an acknowledged write was never seen",
        "a delivered record is gone",
        "an offset held two values",
        "a write appears twice",
        "a refused write is there",
        "a value that nobody sent",
        "a value in another partition than it was sent to",
        "a damaged value was served",
        "a value was read before it was sent",
        "a producer's writes changed order",
        "a producer's pipelined writes changed order",
        "an acknowledged write was overtaken by a later one",
        "the end offset went back",
        "a consumer skipped a record between polls",
        "a consumer skipped a record within a poll",
        "a consumer went back between polls",
        "a consumer went back within a poll",
        "leader epochs fall along the log",
        "a producer's sequence numbers have a gap or a repeat"};
    return kTitles[static_cast<std::size_t>(prop)];
  }

  void missing_evidence() {
    const Counts& counts = verdict_.counts;
    if (counts.operations == 0) {
      unknown("the history is empty");
    } else if (counts.sends_ok == 0 && counts.reads + counts.audited == 0) {
      unknown("no operation succeeded");
    } else if (counts.sends_ok == 0 && counts.sends_fail + counts.sends_info > 0) {
      unknown("not one send was acknowledged");
    }
    if (counts.polls > 0 && counts.reads == 0 && counts.sends_ok > 0) unknown("the consumers were delivered nothing");
    drains();
    required_faults();
    for (const std::string& gap : context_.harness_gaps) unknown(gap);
    if (const std::uint64_t dropped = evidence_.dropped_trace_events(); dropped > 0) {
      const std::string text = fmt::format("the brokers dropped {} trace events", grouped(dropped));
      const bool matters = context_.settings.acks != Acks::all || context_.settings.unclean;
      if (matters)
        unknown(text + ", and the promises of these settings depend on them");
      else
        notes_.push_back(text + "; nothing judged depends on them");
    }
    if (index_.unrecorded > 0)
      notes_.push_back(
          fmt::format("{} reads of values whose sends are missing because their writer's file is unfinished",
                      grouped(index_.unrecorded)));
    for (const std::string& note : index_.history->notes) notes_.push_back(note);
  }

  void drains() {
    std::vector<bool> sent(index_.partitions.size());
    for (const Send& send : index_.sends)
      if (send.state != Sent::never) sent[send.object] = true;
    std::string names;
    std::size_t missing = 0;
    for (std::size_t p = 0; p < sent.size(); ++p) {
      if (!sent[p] || index_.partitions[p].drained) continue;
      if (missing++ < 4) names += (names.empty() ? "" : ", ") + index_.partitions[p].name.to_string();
    }
    if (missing > 0)
      unknown(fmt::format("{} of {} partitions were not read to a proven end ({}{})", missing, index_.partitions.size(),
                          names, missing > 4 ? ", ..." : ""));
  }

  void required_faults() {
    for (const std::string& id : context_.required_faults) {
      const auto fault = std::ranges::find(evidence_.faults(), id, &FaultSpan::id);
      if (fault != evidence_.faults().end() && fault->counts()) continue;
      unknown(
          fmt::format("the required fault {} {}", id,
                      fault == evidence_.faults().end() ? "was never tried" : "did not act (" + fault->status + ")"));
    }
    if (evidence_.counted() < context_.min_faults)
      unknown(fmt::format("{} of at least {} faults acted", evidence_.counted(), context_.min_faults));
  }

  void outcome() {
    // An undecided property is already one of these; say it if nothing else did.
    for (const Property& property : verdict_.properties)
      if (property.status == Standing::unknown && unknowns_.empty())
        unknown(property.name + " could not be decided: " + property.why);
    verdict_.outcome = !failures_.empty() ? Outcome::fail : !unknowns_.empty() ? Outcome::unknown : Outcome::pass;
    const std::string faults = faults_in_words(evidence_.faults());
    if (verdict_.outcome == Outcome::fail) {
      verdict_.sentence = failures_.front();
    } else if (verdict_.outcome == Outcome::unknown) {
      verdict_.sentence = "cannot tell: " + unknowns_.front();
    } else {
      bool any_allowed = false;
      // Stale answers and a client's own copies are no weakness of the settings.
      for (std::size_t p = 0; p < kProps; ++p) {
        const Findings::Tally& tally = findings_.of(static_cast<Prop>(p));
        any_allowed |= tally.allowed > tally.client + tally.stale;
      }
      verdict_.sentence =
          evidence_.acted() == 0 ? "every promise was kept; no fault acted" : "acknowledged writes survived " + faults;
      if (any_allowed)
        verdict_.sentence = fmt::format(
            "every promise was kept under {}; what these settings do not promise was seen to "
            "break, and is shown as allowed",
            faults);
    }
    verdict_.reasons = failures_;
    verdict_.reasons.insert(verdict_.reasons.end(), unknowns_.begin(), unknowns_.end());
    verdict_.reasons.insert(verdict_.reasons.end(), notes_.begin(), notes_.end());
  }

  Index& index_;
  const Context& context_;
  const Evidence& evidence_;
  const PromiseBook& book_;
  Findings& findings_;
  Verdict verdict_;
  std::vector<std::string> failures_, unknowns_;

 public:
  std::vector<std::string> notes_;
};

}  // namespace

const Property* Verdict::find(std::string_view property) const {
  const auto found = std::ranges::find(properties, property, &Property::name);
  return found == properties.end() ? nullptr : &*found;
}

Result<Verdict> check(const history::History& history, const Context& given, const Options& options) {
  Context context = given;
  if (!Promises::standard().has_set(context.promise_set)) {
    std::string known;
    for (const std::string& name : Promises::standard().set_names()) known += (known.empty() ? "" : ", ") + name;
    return fail(Errc::invalid_argument,
                fmt::format("no promise set \"{}\"; there are: {}", context.promise_set, known));
  }
  for (const history::FileView& file : history.files)
    if (!context.run_id.empty() && file.header.run_id != context.run_id)
      return fail(Errc::corrupt, fmt::format("{} is of run \"{}\", the trial is \"{}\"", file.name, file.header.run_id,
                                             context.run_id));
  std::vector<std::string> notes;
  auto settings = effective_settings(history, context, notes);
  if (!settings) return fail(settings.error());
  context.settings = *settings;
  auto index = build_index(history);
  if (!index) return fail(index.error());
  const Evidence evidence(context, index->t0_ns);
  const PromiseBook book = make_promises(*index, evidence, context.promise_set);
  Findings findings(book.promise, options.max_witnesses);
  scan_reads(*index, findings);
  place_acks(*index, context.settings.acks, findings);
  for (Partition& partition : index->partitions) {
    partition.leader_moved_ns = evidence.leader_moved_ns(partition.name);
    partition.first_led = evidence.first_led(partition.name);
  }
  check_partitions(*index, context.settings.acks, options.threads, book.promise, options.max_witnesses, findings);
  check_sends(*index, context.settings.acks, findings);
  check_send_order(*index, findings);
  check_polls(*index, findings);
  Judge judge(*index, context, evidence, book, findings);
  judge.notes_ = std::move(notes);
  return judge.judge();
}

int exit_code(Outcome outcome) {
  switch (outcome) {
    case Outcome::pass:
      return 0;
    case Outcome::fail:
      return 1;
    case Outcome::unknown:
      return 2;
  }
  return 3;
}

}  // namespace ordeal::checker
