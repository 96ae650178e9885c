#include "faults/real/firewall.h"

#include <fmt/format.h>
#include <nftables/libnftables.h>

#include <algorithm>
#include <cstdio>

namespace ordeal::nemesis {

namespace {

// Kafka's connections have their listener's port at one end or the other, hence both rules on ports.
constexpr const char* kTable = R"(
table bridge ordeal {
  flags owner;
  set cut { type ifname . ifname; counter; }
  set cut_port { type ifname . ifname . inet_service; counter; }
  chain links {
    type filter hook forward priority 0; policy accept;
    iifname . oifname @cut drop
    meta l4proto { tcp, udp } iifname . oifname . th dport @cut_port drop
    meta l4proto { tcp, udp } iifname . oifname . th sport @cut_port drop
  }
})";

std::string elements(const std::set<PortCut>& cuts, const std::string& verb) {
  std::string whole;
  std::string ports;
  for (const PortCut& cut : cuts) {
    if (cut.port == 0) {
      whole += fmt::format("{}\"{}\" . \"{}\"", whole.empty() ? "" : ", ", cut.from, cut.to);
    } else {
      ports += fmt::format("{}\"{}\" . \"{}\" . {}", ports.empty() ? "" : ", ", cut.from, cut.to, cut.port);
    }
  }
  std::string text;
  if (!whole.empty()) text += fmt::format("{} element bridge ordeal cut {{ {} }}\n", verb, whole);
  if (!ports.empty()) text += fmt::format("{} element bridge ordeal cut_port {{ {} }}\n", verb, ports);
  return text;
}

std::set<PortCut> without(const std::set<PortCut>& from, const std::set<PortCut>& what) {
  std::set<PortCut> rest;
  for (const PortCut& cut : from) {
    if (!what.contains(cut)) rest.insert(cut);
  }
  return rest;
}

}  // namespace

Result<std::unique_ptr<Firewall>> Firewall::create() {
  std::unique_ptr<Firewall> firewall(new Firewall);
  firewall->context_ = ::nft_ctx_new(NFT_CTX_DEFAULT);
  if (firewall->context_ == nullptr) return fail(Errc::unsupported, "libnftables cannot talk to the kernel");
  ::nft_ctx_buffer_output(firewall->context_);
  ::nft_ctx_buffer_error(firewall->context_);
  auto made = firewall->run(kTable);
  if (!made) return fail(made.error());
  return firewall;
}

Firewall::~Firewall() {
  if (context_ != nullptr) ::nft_ctx_free(context_);
}

Result<std::string> Firewall::run(const std::string& commands) {
  const int code = ::nft_run_cmd_from_buffer(context_, commands.c_str());
  std::string output = ::nft_ctx_get_output_buffer(context_);
  const std::string error = ::nft_ctx_get_error_buffer(context_);
  if (code != 0) return fail(Errc::io, "nftables: " + (error.empty() ? std::string("refused") : error));
  return output;
}

Status Firewall::set(const std::set<PortCut>& cuts) {
  const std::string change = elements(without(cuts_, cuts), "delete") + elements(without(cuts, cuts_), "add");
  if (change.empty()) return {};
  if (auto done = run(change); !done) return fail(done.error());
  cuts_ = cuts;
  return {};
}

// Reads listings such as: elements = { "p-n1" . "p-n2" . 9092 counter packets 3 bytes 252, ... }
std::map<PortCut, std::uint64_t> parse_counters(std::string_view listing) {
  std::map<PortCut, std::uint64_t> counts;
  const auto quoted = [&](std::string& into) {
    const std::size_t open = listing.find('"');
    const std::size_t close = open == std::string_view::npos ? open : listing.find('"', open + 1);
    if (close == std::string_view::npos) return false;
    into = listing.substr(open + 1, close - open - 1);
    listing.remove_prefix(close + 1);
    return true;
  };
  PortCut cut;
  while (quoted(cut.from) && quoted(cut.to)) {
    cut.port = 0;
    std::string rest(listing.substr(0, std::min(listing.find('"'), listing.size())));
    unsigned port = 0;
    unsigned long long packets = 0;
    if (std::sscanf(rest.c_str(), " . %u counter packets %llu", &port, &packets) == 2) {
      cut.port = static_cast<std::uint16_t>(port);
      counts[cut] = packets;
    } else if (std::sscanf(rest.c_str(), " counter packets %llu", &packets) == 1) {
      counts[cut] = packets;
    }
  }
  return counts;
}

Result<std::map<PortCut, std::uint64_t>> Firewall::dropped() {
  std::map<PortCut, std::uint64_t> counts;
  for (const char* set : {"cut", "cut_port"}) {
    auto listing = run(fmt::format("list set bridge ordeal {}", set));
    if (!listing) return fail(listing.error());
    counts.merge(parse_counters(*listing));
  }
  return counts;
}

}  // namespace ordeal::nemesis
