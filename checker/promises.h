// The promise matrix: which property a configuration still promises after what happened. The rules are data
// (promises.json, embedded); this only looks them up. Facts are strings so that a rule, a test and the documentation
// say the same words.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "checker/check.h"

namespace ordeal::checker {

// fact name -> value, e.g. {"acks","all"}, {"leader_moved","yes"}. A fact that is missing matches no condition.
using Facts = std::map<std::string, std::string, std::less<>>;

struct Judgement {
  Promise promise = Promise::promised;
  std::string because;
};

struct PropertyInfo {
  std::string name;
  std::string title;
};

struct Weakness {  // a setting that is weaker than a promise set needs
  std::string fact;
  std::string needs;
  std::string has;
  std::string because;
};

class Promises {
 public:
  // The embedded matrix; parsed once. ORDEAL_CHECKs that it is well formed (a test reads it first).
  static const Promises& standard();
  static Result<Promises> parse(std::string_view json);

  const std::vector<PropertyInfo>& properties() const { return properties_; }
  const std::map<std::string, std::vector<std::string>>& fact_values() const { return facts_; }
  std::vector<std::string> set_names() const;

  // First rule that matches. With a set that names `property`, the set's assumptions replace the facts first, so that
  // a weak setting excuses nothing.
  Judgement judge(std::string_view property, const Facts& facts, std::string_view set = "declared") const;
  std::vector<Weakness> weaknesses(std::string_view set, const Facts& facts) const;
  bool has_set(std::string_view set) const { return sets_.contains(std::string(set)); }

 private:
  struct Rule {
    std::map<std::string, std::vector<std::string>> when;
    Promise then = Promise::promised;
    std::string because;
  };
  struct Set {
    std::vector<Weakness> requires_;
    Facts assume;
    std::vector<std::string> properties;
  };
  std::vector<PropertyInfo> properties_;
  std::map<std::string, std::vector<std::string>> facts_;
  std::map<std::string, std::vector<Rule>, std::less<>> rules_;  // by property
  std::map<std::string, Set> sets_;
};

Facts setting_facts(const Settings& settings);

}  // namespace ordeal::checker
