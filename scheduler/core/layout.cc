#include "scheduler/core/layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>

namespace tidegate::scheduler {

namespace {

constexpr std::string_view kForms = "forms are TP8, TP8+PP2, DP8+EP8, DP4+TP2+EP8, EP32 and EP32+R32";

std::unexpected<Error> bad_layout(std::string_view text, std::string_view why) {
  return fail(Code::kInvalidArgument, "bad_layout", fmt::format("'{}' is not a layout: {}; {}", text, why, kForms),
              "layout");
}

std::unexpected<Error> not_allowed(const Layout& layout, std::string why) {
  return fail(Code::kInvalidArgument, "layout_not_allowed",
              fmt::format("{} is not possible: {}", layout.to_string(), why), "layout");
}

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return out;
}

struct Part {
  std::string kind;
  std::int32_t number = 0;
};

Result<Part> read_part(std::string_view part, std::string_view whole) {
  const std::size_t digits = std::min(part.find_first_of("0123456789"), part.size());
  Part read{.kind = std::string(part.substr(0, digits)), .number = 0};
  const char* end = part.data() + part.size();
  const auto parsed = std::from_chars(part.data() + digits, end, read.number);
  if (parsed.ec != std::errc() || parsed.ptr != end || read.number < 1 || read.number > kRanksMax) {
    return bad_layout(whole, fmt::format("'{}' needs a number from 1 to {}", part, kRanksMax));
  }
  return read;
}

// TP cuts whole heads; what would be allowed is said, since 28 heads surprise people.
std::string divisors(std::int32_t heads) {
  std::string list;
  for (std::int32_t n = 1; n <= heads && n <= 64; ++n) {
    if (heads % n == 0) list += list.empty() ? std::to_string(n) : ", " + std::to_string(n);
  }
  return list;
}

Result<Layout> check_expert_unit(const ModelShape& shape, Layout layout) {
  if (!shape.is_moe()) return not_allowed(layout, "the model has no experts; use TP");
  if (layout.redundant_experts == 0) layout.redundant_experts = shape.experts / 8;
  if (layout.redundant_experts > shape.experts) {
    return not_allowed(layout, fmt::format("at most {} redundant experts (R) are of use", shape.experts));
  }
  if (layout.expert > shape.experts + layout.redundant_experts) {
    return not_allowed(layout, fmt::format("{} experts and {} copies are fewer than the ranks", shape.experts,
                                           layout.redundant_experts));
  }
  return layout;
}

}  // namespace

std::string Layout::to_string() const {
  if (is_expert_unit) {
    return redundant_experts > 0 ? fmt::format("EP{}+R{}", expert, redundant_experts) : fmt::format("EP{}", expert);
  }
  std::string text;
  const auto add = [&text](std::string_view kind, std::int32_t number) {
    text += fmt::format("{}{}{}", text.empty() ? "" : "+", kind, number);
  };
  if (data > 1) add("DP", data);
  if (tensor > 1 || data == 1) add("TP", tensor);
  if (pipeline > 1) add("PP", pipeline);
  if (expert > 1) add("EP", expert);
  return text;
}

Result<Layout> parse_layout(std::string_view text) {
  const std::string whole = upper(text);
  Layout layout;
  std::set<std::string> seen;
  std::size_t begin = 0;
  while (begin <= whole.size()) {
    const std::size_t plus = std::min(whole.find('+', begin), whole.size());
    TG_ASSIGN(const Part part, read_part(std::string_view(whole).substr(begin, plus - begin), text));
    if (!seen.insert(part.kind).second) return bad_layout(text, fmt::format("{} is there twice", part.kind));
    if (part.kind == "TP") {
      layout.tensor = part.number;
    } else if (part.kind == "PP") {
      layout.pipeline = part.number;
    } else if (part.kind == "DP") {
      layout.data = part.number;
    } else if (part.kind == "EP") {
      layout.expert = part.number;
    } else if (part.kind == "R") {
      layout.redundant_experts = part.number;
    } else {
      return bad_layout(text, fmt::format("'{}' is not TP, PP, DP, EP or R", part.kind));
    }
    begin = plus + 1;
  }
  const bool is_alone = !seen.contains("TP") && !seen.contains("PP") && !seen.contains("DP");
  layout.is_expert_unit = seen.contains("EP") && is_alone;
  if (seen.contains("R") && !layout.is_expert_unit) return bad_layout(text, "R goes with EP alone");
  return layout;
}

Result<Layout> check_layout(const ModelShape& shape, Layout layout) {
  // Each factor first: their product must not overflow.
  for (const std::int32_t factor : {layout.tensor, layout.pipeline, layout.data, layout.expert}) {
    if (factor < 1 || factor > kRanksMax)
      return not_allowed(layout, fmt::format("each number must be 1 to {}", kRanksMax));
  }
  if (std::int64_t{layout.tensor} * layout.pipeline * layout.data > kRanksMax) {
    return not_allowed(layout, fmt::format("a replica has at most {} accelerators", kRanksMax));
  }
  if (layout.is_expert_unit) return check_expert_unit(shape, layout);
  if (shape.heads % layout.tensor != 0) {
    return not_allowed(layout,
                       fmt::format("TP must divide the {} attention heads: {}", shape.heads, divisors(shape.heads)));
  }
  if (layout.pipeline > shape.layers) {
    return not_allowed(layout, fmt::format("PP must be at most the {} layers", shape.layers));
  }
  if (layout.data > 1 && !shape.is_moe()) {
    return not_allowed(layout, "DP shares experts among its groups and this model has none; run that many replicas");
  }
  if (layout.data > 1 && layout.pipeline > 1) return not_allowed(layout, "DP does not go with PP");
  const std::int32_t all = layout.tensor * layout.data;
  if (layout.data > 1 && layout.expert == 1) layout.expert = all;
  if (layout.expert > 1) {
    if (!shape.is_moe()) return not_allowed(layout, "the model has no experts; leave EP away");
    if (layout.expert != all) return not_allowed(layout, fmt::format("EP must be TP x DP = {}", all));
    if (shape.experts % layout.expert != 0) {
      return not_allowed(layout, fmt::format("EP must divide the {} experts", shape.experts));
    }
  }
  return layout;
}

std::vector<Layout> candidate_layouts(const ModelShape& shape, std::int32_t ranks_max) {
  std::vector<Layout> tried;
  for (std::int32_t ranks = 1; ranks <= std::min(ranks_max, kRanksMax); ranks *= 2) {
    for (std::int32_t pipeline = 1; pipeline <= 8 && pipeline <= ranks; pipeline *= 2) {
      tried.push_back({.tensor = ranks / pipeline, .pipeline = pipeline});
    }
    if (ranks > 1) tried.push_back({.data = ranks, .expert = ranks});
    // Below 16 ranks the copies of a unit cost more than its freedom brings.
    if (ranks >= 16) tried.push_back({.expert = ranks, .is_expert_unit = true});
  }
  std::vector<Layout> allowed;
  for (const Layout& each : tried) {
    const auto checked = check_layout(shape, each);
    if (checked) allowed.push_back(*checked);
  }
  return allowed;
}

}  // namespace tidegate::scheduler
