#include "base/price/vectors.h"

#include <fmt/format.h>

#include <charconv>

#include "base/price/price_file.h"
#include "base/price/rounding.h"

namespace tidegate::price {

namespace {

/// The first thing that differs, or "" when the vector passes. An Error means the vector itself is unreadable.
using Verdict = Result<std::string>;

/// Counts in vectors are decimal strings, so that 2^53 + 1 survives any JSON reader.
Result<std::int64_t> read_count(const json::object& from, std::string_view key) {
  const auto* value = from.if_contains(key);
  if (value == nullptr) return 0;
  if (value->is_int64()) return value->as_int64();
  TG_ASSIGN(const auto text, json::get_string(from, key));
  std::int64_t out = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), out);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) {
    return fail(Code::kInvalidArgument, "wrong_type", fmt::format("\"{}\" is not a whole number", text), std::string(key));
  }
  return out;
}

Result<Money> read_money(const json::object& from, std::string_view key) {
  TG_ASSIGN(const auto text, json::get_string(from, key));
  return Money::parse(text);
}

std::string differs(std::string_view what, std::string_view is, std::string_view expected) {
  return is == expected ? std::string() : fmt::format("{} is {}, expected {}", what, is, expected);
}

std::string join(const std::string& first, const std::string& second) { return first.empty() ? second : first; }

Result<std::string> compare_line(const RatedLine& line, const json::object& expect) {
  const std::string name(meter_name(line.meter));
  TG_ASSIGN(const auto quantity, read_count(expect, "quantity"));
  TG_ASSIGN(const auto price_text, json::get_string(expect, "unit_price_per_1M"));
  TG_ASSIGN(const auto price, Rate::parse(price_text));
  TG_ASSIGN(const auto amount, read_money(expect, "amount"));
  std::string diff = differs(name + " quantity", std::to_string(line.quantity), std::to_string(quantity));
  diff = join(diff, differs(name + " rate", line.rate.to_string(), price.to_string()));
  return join(diff, differs(name + " amount", line.amount.to_string(), amount.to_string()));
}

Verdict run_rate(const json::object& vector, VectorSubject& subject) {
  TG_ASSIGN(const auto model, json::get_string(vector, "model"));
  TG_ASSIGN(const auto currency, json::get_string(vector, "currency"));
  TG_ASSIGN(const auto completed_text, json::get_string(vector, "completed_at"));
  TG_ASSIGN(const auto completed, parse_rfc3339(completed_text));
  TG_ASSIGN(const auto started_text, json::find_string(vector, "started_at"));
  TG_ASSIGN(const auto basis_text, json::find_string(vector, "basis"));
  TG_ASSIGN(const auto* tokens, json::get_object(vector, "tokens"));
  TG_ASSIGN(const auto* expect, json::get_object(vector, "expect"));
  Instants instants = Instants::all_at(completed);
  if (started_text) {
    TG_ASSIGN(instants.started, parse_rfc3339(*started_text));
    instants.admitted = instants.started;
  }
  TokenCounts counts;
  TG_ASSIGN(counts.hit, read_count(*tokens, "input_cache_hit"));
  TG_ASSIGN(counts.miss, read_count(*tokens, "input_cache_miss"));
  TG_ASSIGN(counts.output, read_count(*tokens, "output"));
  const Basis basis = parse_basis(basis_text.value_or("")).value_or(Basis::kCompletedAt);

  const auto rated = subject.rate({model, currency, "", ""}, basis, instants, counts);
  if (expect->contains("result") || expect->contains("error")) {
    return rated ? fmt::format("rated {}, expected a refusal", rated->total.to_string()) : std::string();
  }
  if (!rated) return "refused: " + rated.error().to_string();
  TG_ASSIGN(const auto book, json::get_string(*expect, "price_book"));
  TG_ASSIGN(const auto band, json::get_string(*expect, "schedule"));
  TG_ASSIGN(const auto total, read_money(*expect, "total"));
  TG_ASSIGN(const auto pico, json::get_string(*expect, "total_pico"));
  TG_ASSIGN(const auto* lines, json::get_array(*expect, "lines"));
  std::string diff = differs("price book", rated->book, book);
  diff = join(diff, differs("schedule", rated->band, band));
  for (const auto& line : *lines) {
    if (!line.is_object()) return "unreadable line";
    TG_ASSIGN(const auto name, json::get_string(line.as_object(), "meter"));
    const auto meter = parse_meter(name);
    if (!meter) return "unknown meter " + name;
    TG_ASSIGN(const auto line_diff, compare_line(rated->lines[static_cast<std::size_t>(*meter)], line.as_object()));
    diff = join(diff, line_diff);
  }
  diff = join(diff, differs("total", rated->total.to_string(), total.to_string()));
  diff = join(diff, differs("total_pico", int128_to_string(rated->total.pico()), pico));
  TG_ASSIGN(const auto nano, json::find_string(*expect, "total_nano_half_even"));
  if (nano) {
    diff = join(diff, differs("total_nano_half_even",
                              int128_to_string(round_half_even(rated->total, 9).pico() / 1000), *nano));
  }
  return diff;
}

Verdict run_window(const json::object& vector, const std::vector<Calendar>& calendars, VectorSubject& subject) {
  Schedule schedule;
  schedule.name = "inside";
  TG_ASSIGN(schedule.tz, json::get_string(vector, "tz"));
  TG_ASSIGN(const auto window_text, json::get_string(vector, "window"));
  TG_ASSIGN(const auto window, parse_local_window(window_text));
  schedule.windows.push_back(window);
  TG_ASSIGN(const auto* days, json::get_array(vector, "days"));
  for (const auto& day : *days) {
    if (!day.is_int64()) return "unreadable weekday";
    schedule.days.push_back(static_cast<int>(day.as_int64()));
  }
  TG_ASSIGN(const auto calendar, json::find_string(vector, "exclude_calendar"));
  schedule.exclude_calendar = calendar.value_or("");
  TG_ASSIGN(const auto* cases, json::get_array(vector, "cases"));
  for (const auto& item : *cases) {
    if (!item.is_object()) return "unreadable case";
    TG_ASSIGN(const auto text, json::get_string(item.as_object(), "instant"));
    TG_ASSIGN(const auto instant, parse_rfc3339(text));
    TG_ASSIGN(const auto expected, json::get_bool(item.as_object(), "inside"));
    const auto inside = subject.is_inside(schedule, calendars, instant);
    if (!inside) return "refused: " + inside.error().to_string();
    if (*inside != expected) return differs("inside at " + text, *inside ? "true" : "false", expected ? "true" : "false");
  }
  return std::string();
}

/// Half away from zero: what half-even is compared with in the vectors. Amounts there are positive.
Money round_half_up(Money exact, int decimals) {
  Int128 unit = 1;
  for (int i = decimals; i < 12; ++i) unit *= 10;
  return Money::from_pico((exact.pico() + unit / 2) / unit * unit);
}

/// Every member of "expect" that `actual` knows must match. `rule` and the like are prose.
Result<std::string> compare_all(const json::object& expect, const std::map<std::string, Money>& actual) {
  std::string diff;
  int compared = 0;
  for (const auto& [key, money] : actual) {
    if (!expect.contains(key)) continue;
    TG_ASSIGN(const auto expected, read_money(expect, key));
    diff = join(diff, differs(key, money.to_string(), expected.to_string()));
    ++compared;
  }
  return compared == 0 ? std::string("nothing to compare: unknown form of a rounding vector") : diff;
}

Verdict run_rounding(const json::object& vector) {
  TG_ASSIGN(const auto* expect, json::get_object(vector, "expect"));
  std::map<std::string, Money> actual;
  if (vector.contains("events")) {
    TG_ASSIGN(const auto events, read_count(vector, "events"));
    TG_ASSIGN(const auto each, read_money(vector, "per_event_exact"));
    actual["total"] = each.times(events);
    actual["sum_of_nano_rounded"] = round_half_even(each, 9).times(events);
    actual["sum_of_micro_rounded"] = round_half_even(each, 6).times(events);
    actual["sum_of_cent_rounded"] = round_half_even(each, 2).times(events);
  } else if (vector.contains("lines_exact")) {
    TG_ASSIGN(const auto* lines, json::get_array(vector, "lines_exact"));
    Money exact;
    Money rounded;
    for (const auto& line : *lines) {
      if (!line.is_string()) return "unreadable line";
      TG_ASSIGN(const auto amount, Money::parse(line.as_string()));
      exact += amount;
      rounded += round_half_even(amount, 2);
    }
    actual["subtotal_exact"] = exact;
    actual["subtotal_2dp"] = round_half_even(exact, 2);
    actual["sum_of_rounded_lines"] = rounded;
    actual["residual_to_rounding_account"] = round_half_even(exact, 2) - exact;
  } else if (vector.contains("subtotal")) {
    TG_ASSIGN(const auto subtotal, read_money(vector, "subtotal"));
    TG_ASSIGN(const auto rate_text, json::get_string(vector, "rate"));
    TG_ASSIGN(const auto rate, Rate::parse(rate_text));
    actual["tax_on_rounded_subtotal"] = share_half_even(round_half_even(subtotal, 2), rate.micro_per_million(), 2);
    actual["tax_on_exact_subtotal"] = share_half_even(subtotal, rate.micro_per_million(), 2);
  } else {
    TG_ASSIGN(const auto value, read_money(vector, "value"));
    actual["half_even"] = round_half_even(value, 2);
    actual["half_up"] = round_half_up(value, 2);
  }
  return compare_all(*expect, actual);
}

Verdict run_invalid(const json::object& vector, VectorSubject& subject) {
  TG_ASSIGN(const auto* tokens, json::get_object(vector, "tokens"));
  TG_ASSIGN(const auto prompt, read_count(*tokens, "prompt"));
  TG_ASSIGN(const auto cached, read_count(*tokens, "cached"));
  TG_ASSIGN(const auto output, read_count(*tokens, "output"));
  TG_ASSIGN(const auto reasoning, read_count(*tokens, "reasoning"));
  return subject.counts(prompt, cached, output, reasoning) ? std::string("accepted, expected a refusal") : std::string();
}

class Product final : public VectorSubject {
 public:
  Status load(std::vector<PriceVersion> versions, std::vector<Calendar> calendars) override {
    for (const Basis basis : {Basis::kCompletedAt, Basis::kStartedAt, Basis::kAdmittedAt}) {
      for (auto& version : versions) version.basis = basis;
      TG_ASSIGN(books_[basis], PriceBook::build(versions, calendars));
    }
    return {};
  }
  Result<RatedRequest> rate(const PriceKey& key, Basis basis, const Instants& instants,
                            const TokenCounts& tokens) override {
    return books_.at(basis).rate(key, instants, tokens);
  }
  Result<bool> is_inside(const Schedule& schedule, const std::vector<Calendar>& calendars, Wall instant) override {
    PriceVersion version{1, "window", "model", "USD"};
    Schedule fallback;
    fallback.name = "outside";
    fallback.is_default = true;
    for (const Meter meter : kMeters) fallback.rates.emplace(meter_name(meter), Rate());
    version.schedules = {fallback, schedule};
    version.schedules[1].rates = fallback.rates;
    TG_ASSIGN(const auto book, PriceBook::build({version}, calendars));
    return book.schedule_at(book.versions().front(), instant).name == schedule.name;
  }
  Result<TokenCounts> counts(std::int64_t prompt, std::int64_t cached, std::int64_t completion,
                             std::int64_t reasoning) override {
    return TokenCounts::from_usage(prompt, cached, completion, reasoning);
  }

 private:
  std::map<Basis, PriceBook> books_;
};

}  // namespace

std::unique_ptr<VectorSubject> product_subject() { return std::make_unique<Product>(); }

std::string VectorReport::to_text() const {
  std::string out;
  for (const auto& failure : failures) out += "FAILED " + failure + "\n";
  for (const auto& [kind, count] : skipped) out += fmt::format("skipped {} of kind {}\n", count, kind);
  return out + fmt::format("{} passed, {} failed\n", passed, failed);
}

Result<VectorReport> run_vectors(std::string_view file_text, VectorSubject& subject) {
  TG_ASSIGN(const auto root, json::parse(file_text));
  if (!root.is_object()) return fail(Code::kInvalidArgument, "wrong_type", "a vector file is a JSON object");
  TG_ASSIGN(auto file, read_price_file(root.as_object()));
  TG_TRY(subject.load(std::move(file.versions), file.calendars));
  TG_ASSIGN(const auto* vectors, json::get_array(root.as_object(), "vectors"));
  VectorReport report;
  for (const auto& item : *vectors) {
    if (!item.is_object()) return fail(Code::kInvalidArgument, "wrong_type", "a vector is a JSON object", "vectors");
    const auto& vector = item.as_object();
    TG_ASSIGN(const auto id, json::get_string(vector, "id", "vectors"));
    TG_ASSIGN(const auto kind, json::get_string(vector, "kind", "vectors"));
    TG_ASSIGN(const auto title, json::find_string(vector, "title", "vectors"));
    Verdict verdict;
    if (kind == "rate") {
      verdict = run_rate(vector, subject);
    } else if (kind == "window") {
      verdict = run_window(vector, file.calendars, subject);
    } else if (kind == "rounding") {
      verdict = run_rounding(vector);
    } else if (kind == "invalid") {
      verdict = run_invalid(vector, subject);
    } else {
      ++report.skipped[kind];
      continue;
    }
    const std::string diff = verdict ? *verdict : "unreadable: " + verdict.error().to_string();
    if (diff.empty()) {
      ++report.passed;
    } else {
      ++report.failed;
      report.failures.push_back(fmt::format("{} {}: {}", id, title.value_or(""), diff));
    }
  }
  return report;
}

}  // namespace tidegate::price
