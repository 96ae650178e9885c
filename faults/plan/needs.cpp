// Which targets and parameters a verb cannot do without.
#include <fmt/format.h>

#include "faults/plan/params.h"

namespace ordeal::plan {

// Which targets a verb and shape need; fills in the documented defaults.
void check_targets(Reader& reader, const YAML::Node& at, const std::string& path, Verb verb, const Params& params,
                   Targets& on) {
  const bool links = !on.from.empty() || !on.to.empty();
  const auto need_nodes = [&](std::string_view what) {
    if (on.nodes.empty()) reader.complain(at, path, fmt::format("{} needs targets, such as on: leader", what));
    if (links) reader.complain(at, path, fmt::format("{} takes a node set, not from and to", what));
  };
  const auto need_links = [&](std::string_view what) {
    if (on.from.empty() || on.to.empty() || !on.nodes.empty()) {
      reader.complain(at, path, fmt::format("{} needs on: {{from: ..., to: ...}}", what));
    }
  };
  const auto need = [&](bool given, std::string_view what) {
    if (!given) reader.complain(at, path, fmt::format("{} needs params: {{{}: ...}}", verb_name(verb), what));
  };
  if (verb == Verb::net_delay) need(params.by + params.jitter > Duration::zero(), "by");
  if (verb == Verb::disk_slow) need(params.by > Duration::zero(), "by");
  if (verb == Verb::clock_jump) need(params.offset != Duration::zero(), "offset");
  if (verb == Verb::clock_drift) need(params.ppm != 0, "ppm");
  if (verb == Verb::topic_set) need(!params.set.empty(), "set");
  if (is_request(verb) || verb == Verb::clients_pause) {
    if (!on.to.empty()) reader.complain(at, path, fmt::format("{} goes nowhere: no to", verb_name(verb)));
    if (verb == Verb::quorum_voters && on.nodes.empty()) {
      reader.complain(at, path, "quorum.voters needs targets, such as on: one");
    }
    if (verb == Verb::clients_pause && (links || !on.nodes.empty())) {
      reader.complain(at, path, "clients.pause takes no targets: it concerns every producer");
    }
    return;
  }
  if (verb == Verb::net_message && params.action == MessageAction::delay) need(params.by > Duration::zero(), "by");
  if (verb == Verb::net_message) {  // either end may be left open
    if (!on.nodes.empty()) reader.complain(at, path, "net.message takes on: {from: ..., to: ...}, or none");
    return;
  }
  if (verb == Verb::net_simplex || is_link_fault(verb)) {
    if (links) {
      need_links(fmt::format("{} between two sets", verb_name(verb)));
    } else {
      need_nodes(verb_name(verb));
    }
    return;
  }
  if (verb != Verb::net_partition) return need_nodes(verb_name(verb));
  switch (params.shape) {
    case Shape::link:
      return need_links("shape: link");
    case Shape::client_broker:
      if (on.from.empty()) on.from = "client";
      if (on.to.empty()) std::swap(on.to, on.nodes);
      return need_links("shape: client-broker");
    case Shape::halves:
      if (on.nodes.empty()) on.nodes = "minority";
      return need_nodes("shape: halves");
    case Shape::bridge:
      if (on.nodes.empty()) on.nodes = "one";
      return need_nodes("shape: bridge");
    case Shape::ring:
      if (on.nodes.empty()) on.nodes = "all";
      return need_nodes("shape: ring");
    case Shape::isolate:
    case Shape::brokers_not_clients:
      return need_nodes("net.partition");
  }
}

}  // namespace ordeal::plan
