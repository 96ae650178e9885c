// The verbs of a script as a table: what each takes, and of what kind. The parser checks by it, and so does no one
// else.
#pragma once

#include <string_view>
#include <vector>

namespace ordeal::scenario {

enum class Kind {
  expression,  // anything an expression may give: nodes, partitions, numbers
  condition,   // an expression that is true or false
  names,       // a mapping of new names to expressions
  duration,
  integer,  // written out, 0 or more
  truth,
  text,
  choice,    // one of `choices`
  config,    // a mapping of settings, all taken as text
  new_name,  // of each: as
  new_hold,  // of hold: as
  hold,      // one that an earlier step made
  steps,     // do, then, else
  mapping,   // the fields below
};

struct Field {
  std::string_view key;
  Kind kind = Kind::expression;
  bool required = false;
  std::vector<std::string_view> choices;
};

struct VerbSpec {
  std::string_view name;
  Kind kind = Kind::expression;  // of the verb's own value
  std::vector<Field> fields;     // of its mapping
  std::vector<Field> beside;     // keys of the step beside the verb
  std::vector<std::string_view> choices;
};

const std::vector<VerbSpec>& verbs();

}  // namespace ordeal::scenario
