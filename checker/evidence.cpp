#include "checker/evidence.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <tuple>

#include "checker/sort.h"

namespace ordeal::checker {
namespace {

using Json = nlohmann::json;

std::string text_of(const Json& body, const char* key) {
  const auto found = body.find(key);
  if (found == body.end() || found->is_null()) return {};
  return found->is_string() ? found->get<std::string>() : found->dump();
}

std::vector<std::string> targets_of(const Json& body) {
  std::vector<std::string> out;
  const auto found = body.find("targets");
  if (found == body.end()) return out;
  if (found->is_array()) {
    for (const Json& target : *found) out.push_back(target.is_string() ? target.get<std::string>() : target.dump());
  } else {
    out.push_back(found->is_string() ? found->get<std::string>() : found->dump());
  }
  return out;
}

std::int64_t number_of(const Json& body, const char* key, std::int64_t otherwise) {
  const auto found = body.find(key);
  return found != body.end() && found->is_number() ? found->get<std::int64_t>() : otherwise;
}

void apply(const FaultEvent& event, FaultSpan& span) {
  if (const std::string kind = text_of(event.body, "kind"); !kind.empty()) span.kind = kind;
  if (auto targets = targets_of(event.body); !targets.empty()) span.targets = std::move(targets);
  if (const std::string evidence = text_of(event.body, "evidence"); !evidence.empty())
    span.evidence += (span.evidence.empty() ? "" : "; ") + evidence;
  if (const std::string planned = text_of(event.body, "planned"); !planned.empty()) span.planned = planned;
  if (const std::string resolved = text_of(event.body, "resolved"); !resolved.empty()) span.resolved = resolved;
  if (event.event == "fault.begin") {
    span.begin_ns = event.t_ns;
    const auto verified = event.body.find("verified");
    span.verified = verified != event.body.end() && verified->is_boolean() && verified->get<bool>();
    span.status = span.verified ? "acted" : "failed";
    span.took_hold = span.verified;
  } else if (event.event == "fault.missed") {
    span.status = "missed";
    const auto acted = event.body.find("acted");
    if (acted != event.body.end() && acted->is_boolean() && acted->get<bool>() && !span.took_hold) {
      span.took_hold = true;
      span.begin_ns = event.t_ns;
    }
  } else if (event.event == "fault.failed") {
    span.status = "failed";
  } else if (event.event == "fault.heal") {
    span.heal_ns = event.t_ns;
  } else if (event.event == "fault.converged") {
    span.converged_ns = event.t_ns;
  }
}

}  // namespace

std::set<std::int32_t> parse_nodes(const std::string& list) {
  std::set<std::int32_t> out;
  const char* at = list.data();
  const char* const end = at + list.size();
  while (at < end) {
    std::int32_t node = 0;
    const auto [next, error] = std::from_chars(at, end, node);
    if (error == std::errc()) out.insert(node);
    at = error == std::errc() ? next : at + 1;
  }
  return out;
}

std::int32_t node_named(const std::string& target) {
  constexpr std::string_view kTrialNet = "10.77.0.";
  std::string_view digits = target;
  std::int32_t base = 0;
  if (digits.starts_with(kTrialNet)) {
    digits.remove_prefix(kTrialNet.size());
    base = 10;
  } else if (digits.starts_with("node-")) {
    digits.remove_prefix(5);
  } else if (digits.starts_with("n")) {
    digits.remove_prefix(1);
  }
  std::int32_t number = 0;
  const auto [next, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || next != digits.data() + digits.size()) return -1;
  const std::int32_t node = number - base;
  return node > 0 && (base == 0 || node < 90) ? node : -1;
}

namespace {
// "n2", or a phrase with broker names in it: "leader of t-0 = n2".
void add_nodes(const std::string& text, std::set<std::int32_t>& nodes) {
  std::string word;
  for (std::size_t at = 0; at <= text.size(); ++at) {
    const char c = at < text.size() ? text[at] : ' ';
    if (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '.') {
      word += c;
      continue;
    }
    if (const std::int32_t node = node_named(word); node >= 0) nodes.insert(node);
    word.clear();
  }
}
}  // namespace

std::vector<FaultSpan> fault_spans(const std::vector<FaultEvent>& events) {
  std::vector<FaultEvent> sorted;
  for (const FaultEvent& event : events)
    if (!event.id.empty() && event.event.starts_with("fault.")) sorted.push_back(event);
  sort_stably(sorted, &FaultEvent::t_ns);
  std::vector<FaultSpan> spans;
  for (const FaultEvent& event : sorted) {
    auto span = std::ranges::find(spans, event.id, &FaultSpan::id);
    if (span == spans.end()) {
      spans.push_back({});
      span = std::prev(spans.end());
      span->id = event.id;
    }
    apply(event, *span);
  }
  for (FaultSpan& span : spans) {
    for (const std::string& target : span.targets) add_nodes(target, span.nodes);
    if (span.nodes.empty()) add_nodes(span.resolved, span.nodes);
  }
  sort_stably(spans, [](const FaultSpan& span) { return std::pair(span.begin_ns == 0, span.begin_ns); });
  return spans;
}

std::map<TopicPartition, PartitionStory> partition_stories(const std::vector<TraceEvent>& traces) {
  std::map<TopicPartition, PartitionStory> stories;
  for (const TraceEvent& event : traces) {
    const bool leader = event.kind == "partition.leader";
    if (!leader && event.kind != "partition.isr") continue;
    const TopicPartition name{text_of(event.body, "topic"),
                              static_cast<PartitionId>(number_of(event.body, "partition", -1))};
    const auto epoch = static_cast<LeaderEpoch>(number_of(event.body, "leader_epoch", -1));
    PartitionStory& story = stories[name];
    // A watcher saw it some time after it happened, and says since when it can have been so.
    const auto not_before =
        static_cast<std::uint64_t>(number_of(event.body, "not_before", static_cast<std::int64_t>(event.t_ns)));
    if (leader) story.reigns.push_back({epoch, event.node, event.t_ns, not_before});
    story.isr.push_back(
        {event.t_ns, epoch, number_of(event.body, "partition_epoch", -1), parse_nodes(text_of(event.body, "isr"))});
  }
  for (auto& [name, story] : stories) {
    sort_stably(story.reigns, [](const Reign& reign) { return std::pair(reign.epoch, reign.from_ns); });
    const auto same = std::ranges::unique(story.reigns, {}, &Reign::epoch);
    story.reigns.erase(same.begin(), same.end());
    sort_stably(story.isr, [](const IsrState& s) { return std::tuple(s.epoch, s.partition_epoch, s.t_ns); });
  }
  return stories;
}

Evidence::Evidence(const Context& context, std::uint64_t t0_ns)
    : settings_(setting_facts(context.settings)),
      unclean_permitted_(context.settings.unclean),
      anything_possible_(!context.faults_known),
      t0_ns_(t0_ns),
      faults_(fault_spans(context.faults)),
      stories_(partition_stories(context.traces)) {
  static const std::set<std::string> kPower{"node.power_cut", "node.crash"};
  static const std::set<std::string> kDamage{"node.amnesia", "node.rollback", "disk.wipe",
                                             "disk.bitflip", "disk.torn",     "disk.fsync_lie"};
  for (const FaultSpan& fault : faults_) {
    anything_possible_ |= fault.status == "failed";  // undone, but perhaps not before it did something
    if (!fault.acted()) continue;
    if (kPower.contains(fault.kind)) lost_power_.insert(fault.nodes.begin(), fault.nodes.end());
    if (kDamage.contains(fault.kind)) damaged_.insert(fault.nodes.begin(), fault.nodes.end());
  }
  for (const TraceEvent& event : context.traces)
    if (event.kind == "trace.dropped") dropped_ += static_cast<std::uint64_t>(number_of(event.body, "count", 1));
}

std::uint64_t Evidence::acted() const {
  return static_cast<std::uint64_t>(std::ranges::count_if(faults_, &FaultSpan::acted));
}

std::uint64_t Evidence::counted() const {
  return static_cast<std::uint64_t>(std::ranges::count_if(faults_, &FaultSpan::counts));
}

// True if at some time the in-sync replicas were all among `nodes`; unknown replicas count as if.
bool Evidence::whole_isr_within(const TopicPartition& partition, const std::set<std::int32_t>& nodes) const {
  if (nodes.empty()) return false;
  const auto story = stories_.find(partition);
  if (story == stories_.end() || story->second.isr.empty()) return true;
  return std::ranges::any_of(story->second.isr, [&](const IsrState& state) {
    return state.isr.empty() || std::ranges::includes(nodes, state.isr);
  });
}

bool Evidence::unclean_election(const PartitionStory& story) const {
  for (std::size_t i = 1; i < story.reigns.size(); ++i) {
    const Reign& reign = story.reigns[i];
    const IsrState* last = nullptr;
    for (const IsrState& state : story.isr)
      if (state.epoch < reign.epoch) last = &state;
    if (last != nullptr && !last->isr.contains(reign.leader)) return true;
  }
  return false;
}

std::uint64_t Evidence::leader_moved_ns(const TopicPartition& partition) const {
  constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();
  const bool troubled = acted() > 0 || anything_possible_;
  const auto story = stories_.find(partition);
  if (story == stories_.end() || story->second.reigns.empty() || dropped_ > 0) return troubled ? 0 : kNever;
  std::uint64_t moved = kNever;
  for (const Reign& reign : story->second.reigns)
    if (reign.leader != story->second.reigns.front().leader) moved = std::min(moved, reign.not_before_ns);
  return moved;
}

std::map<NodeId, LeaderEpoch> Evidence::first_led(const TopicPartition& partition) const {
  std::map<NodeId, LeaderEpoch> first;
  const auto story = stories_.find(partition);
  if (story == stories_.end() || dropped_ > 0) return first;
  for (const Reign& reign : story->second.reigns)
    first.emplace(reign.leader, reign.epoch);  // by epoch: the first stays
  return first;
}

Facts Evidence::facts(const TopicPartition& partition) const {
  const auto yes = [](bool is) { return is ? "yes" : "no"; };
  const bool troubled = acted() > 0 || anything_possible_;
  bool moved = troubled;
  bool changed = moved;
  bool unclean = unclean_permitted_ && moved;  // without a trace an election may have been unclean
  if (const auto story = stories_.find(partition); story != stories_.end() && !story->second.reigns.empty()) {
    moved = false;
    changed = false;
    const auto& reigns = story->second.reigns;
    for (std::size_t i = 1; i < reigns.size(); ++i) {
      if (reigns[i].from_ns < t0_ns_) continue;
      moved = true;
      changed = changed || reigns[i].leader != reigns[i - 1].leader;
    }
    unclean = unclean_permitted_ && unclean_election(story->second);
    if (dropped_ > 0 && troubled) moved = changed = true;
  }
  Facts facts = settings_;
  facts["fault_acted"] = yes(troubled);
  facts["leader_moved"] = yes(moved);
  facts["leader_changed"] = yes(changed);
  facts["unclean_election"] = yes(unclean);
  facts["power_cut"] = yes(!lost_power_.empty());
  facts["safe_set_lost_power"] = yes(whole_isr_within(partition, lost_power_));
  facts["storage_damaged"] = yes(!damaged_.empty());
  facts["safe_set_damaged"] = yes(whole_isr_within(partition, damaged_));
  return facts;
}

}  // namespace ordeal::checker
