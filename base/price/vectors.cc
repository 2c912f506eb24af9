#include "base/price/vectors.h"

#include <fmt/format.h>

#include "base/price/price_file.h"
#include "base/price/rounding.h"
#include "base/price/vector_kinds.h"

namespace tidegate::price {

namespace {

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

/// The instants of a vector that names when it completed, and maybe when it started.
Result<Instants> read_instants(const json::object& vector) {
  TG_ASSIGN(const auto completed, read_instant(vector, "completed_at"));
  TG_ASSIGN(const auto started_text, json::find_string(vector, "started_at"));
  Instants instants = Instants::all_at(completed);
  if (started_text) {
    TG_ASSIGN(instants.started, parse_rfc3339(*started_text));
    instants.admitted = instants.started;
  }
  TG_ASSIGN(const auto error_ms, read_count(vector, "clock_error_bound_ms"));
  instants.clock_error = std::chrono::milliseconds(error_ms);
  return instants;
}

Verdict run_rate(const json::object& vector, VectorSubject& subject) {
  TG_ASSIGN(const auto model, json::get_string(vector, "model"));
  TG_ASSIGN(const auto currency, json::get_string(vector, "currency"));
  TG_ASSIGN(const auto instants, read_instants(vector));
  TG_ASSIGN(const auto basis_text, json::find_string(vector, "basis"));
  TG_ASSIGN(const auto counts, read_tokens(vector));
  TG_ASSIGN(const auto* expect, json::get_object(vector, "expect"));
  const Basis basis = parse_basis(basis_text.value_or("")).value_or(Basis::kCompletedAt);

  const auto rated = subject.rate({model, currency, "", ""}, basis, instants, counts);
  if (expect->contains("result") || expect->contains("error")) {
    return rated ? fmt::format("rated {}, expected a refusal", rated->total.to_string()) : std::string();
  }
  if (!rated) return "refused: " + rated.error().to_string();
  TG_ASSIGN(const auto book, json::find_string(*expect, "price_book"));
  TG_ASSIGN(const auto band, json::get_string(*expect, "schedule"));
  std::string diff = differs("price book", rated->book, book.value_or(rated->book));
  diff = join(diff, differs("schedule", rated->band, band));
  if (expect->contains("lines")) {
    TG_ASSIGN(const auto* lines, json::get_array(*expect, "lines"));
    for (const auto& line : *lines) {
      if (!line.is_object()) return "unreadable line";
      TG_ASSIGN(const auto name, json::get_string(line.as_object(), "meter"));
      const auto meter = parse_meter(name);
      if (!meter) return "unknown meter " + name;
      TG_ASSIGN(const auto line_diff,
                compare_line(rated->lines[static_cast<std::size_t>(*meter)], line.as_object()));
      diff = join(diff, line_diff);
    }
  }
  TG_ASSIGN(const auto total_diff, compare_total(rated->total, *expect));
  return join(diff, total_diff);
}

Verdict run_hold(const json::object& vector, VectorSubject& subject) {
  TG_ASSIGN(const auto model, json::get_string(vector, "model"));
  TG_ASSIGN(const auto currency, json::get_string(vector, "currency"));
  TG_ASSIGN(const auto admitted, read_instant(vector, "admitted_at"));
  TG_ASSIGN(const auto completed, read_instant(vector, "completed_at"));
  TG_ASSIGN(const auto budget_s, read_count(vector, "deadline_s"));
  TG_ASSIGN(const auto prompt, read_count(vector, "prompt_tokens"));
  TG_ASSIGN(const auto completion, read_count(vector, "max_tokens"));
  TG_ASSIGN(const auto actual, read_tokens(vector, "actual"));
  TG_ASSIGN(const auto* expect, json::get_object(vector, "expect"));
  TG_ASSIGN(const auto reserved, read_money(*expect, "reserved"));
  TG_ASSIGN(const auto settled, read_money(*expect, "settled"));
  TG_ASSIGN(const auto released, read_money(*expect, "released"));
  const PriceKey key{model, currency, "", ""};
  const auto held =
      subject.worst_case(key, admitted, admitted + std::chrono::seconds(budget_s), prompt, completion);
  if (!held) return "refused: " + held.error().to_string();
  const auto rated = subject.rate(key, Basis::kCompletedAt, {admitted, admitted, completed}, actual);
  if (!rated) return "refused: " + rated.error().to_string();
  std::string diff = differs("reserved", held->to_string(), reserved.to_string());
  diff = join(diff, differs("settled", rated->total.to_string(), settled.to_string()));
  return join(diff, differs("released", (*held - rated->total).to_string(), released.to_string()));
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
  Result<RatedRequest> rate_with(std::vector<PriceVersion> versions, std::vector<Modifier> modifiers,
                                 const PriceKey& key, const Instants& instants,
                                 const TokenCounts& tokens) override {
    TG_ASSIGN(const auto book, PriceBook::build(std::move(versions), {}, std::move(modifiers)));
    return book.rate(key, instants, tokens);
  }
  Result<Money> worst_case(const PriceKey& key, Wall from, Wall until, std::int64_t prompt_tokens_max,
                           std::int64_t completion_tokens_max) override {
    return books_.at(Basis::kCompletedAt)
        .worst_case(key, from, until, prompt_tokens_max, completion_tokens_max);
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

/// nullopt: not a kind of this library.
std::optional<Verdict> run_one(const std::string& kind, const json::object& vector,
                               const std::vector<Calendar>& calendars, VectorSubject& subject) {
  if (kind == "rate" || kind == "skew") return run_rate(vector, subject);
  if (kind == "window") return run_window(vector, calendars, subject);
  if (kind == "rounding") return run_rounding(vector);
  if (kind == "invalid") return run_invalid(vector, subject);
  if (kind == "modifier") return run_modifier(vector, subject);
  if (kind == "hold" && vector.contains("model")) return run_hold(vector, subject);
  const auto* model = vector.if_contains("model");
  const bool is_by_length = model != nullptr && model->is_string() && model->as_string() == "request_length";
  if (kind == "tier" && is_by_length) return run_prompt_tier(vector, subject);
  return std::nullopt;
}

}  // namespace

std::unique_ptr<VectorSubject> product_subject() { return std::make_unique<Product>(); }

std::string VectorReport::to_text() const {
  std::string out;
  for (const auto& failure : failures) out += "FAILED " + failure + "\n";
  for (const auto& [kind, count] : skipped) out += fmt::format("skipped {} of kind {}\n", count, kind);
  return out + fmt::format("{} passed, {} failed\n", passed, failed);
}

Result<VectorReport> run_vectors(std::string_view file_text, VectorSubject& subject,
                                 const ForeignKind& foreign) {
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
    auto ran = run_one(kind, vector, file.calendars, subject);
    if (!ran && foreign) ran = foreign(kind, vector, subject);
    if (!ran) {
      ++report.skipped[kind];
      continue;
    }
    const Verdict& verdict = *ran;
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
