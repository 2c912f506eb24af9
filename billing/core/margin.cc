#include "billing/core/margin.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <tuple>

#include "base/core/check.h"

namespace tidegate::billing {

namespace {

using RowKey = std::tuple<std::optional<Wall>, std::string, std::optional<std::string>>;
RowKey key_of(MarginBy by, Wall hour, const std::string& model, const std::string& band) {
  return {by == MarginBy::kHour ? std::optional(hour) : std::nullopt, model,
          by == MarginBy::kBand ? std::optional(band) : std::nullopt};
}

using PoolHour = std::tuple<Wall, std::string, std::string>;

class Report {
 public:
  Report(const std::vector<UsageHour>& usage, MarginBy by) : by_(by) {
    for (const auto& one : usage) {
      MarginRow& row = row_of(one.hour, one.model, one.band);
      row.tokens += one.tokens;
      row.revenue += one.revenue;
      row.list += one.list;
      served_[{one.hour, one.region, one.pool}].push_back(&one);
    }
  }

  void add(const CostHour& cost) {
    std::vector<const UsageHour*> users;
    std::vector<Int128> weights;
    if (const auto found = served_.find({cost.hour, cost.region, cost.pool}); found != served_.end()) {
      for (const auto* one : found->second) {
        if (one->work == 0 || (!cost.model.empty() && one->model != cost.model)) continue;
        users.push_back(one);
        weights.push_back(one->work);
      }
    }
    total_.accelerator_micro_hours += cost.accelerators_micro;
    total_.cost += cost.cost();
    if (users.empty()) {
      if (cost.model.empty()) {
        idle_ += cost.cost();
        return;
      }
      MarginRow& row = row_of(cost.hour, cost.model, "");
      row.cost += cost.cost();
      row.accelerator_micro_hours += cost.accelerators_micro;
      return;
    }
    const auto parts = split_exactly(cost.cost(), weights);
    const auto hours = split_exactly(Money::from_pico(cost.accelerators_micro), weights);
    for (std::size_t i = 0; i < users.size(); ++i) {
      MarginRow& row = row_of(users[i]->hour, users[i]->model, users[i]->band);
      row.cost += parts[i];
      row.accelerator_micro_hours += hours[i].pico();
    }
  }

  MarginReport take() {
    MarginReport out;
    for (auto& [key, row] : rows_) {
      total_.tokens += row.tokens;
      total_.revenue += row.revenue;
      total_.list += row.list;
      out.rows.push_back(std::move(row));
    }
    out.total = std::move(total_);
    out.idle = idle_;
    return out;
  }

 private:
  MarginRow& row_of(Wall hour, const std::string& model, const std::string& band) {
    const RowKey key = key_of(by_, hour, model, band);
    MarginRow& row = rows_[key];
    std::tie(row.hour, row.model, row.band) = key;
    return row;
  }

  const MarginBy by_;
  std::map<RowKey, MarginRow> rows_;
  std::map<PoolHour, std::vector<const UsageHour*>> served_;
  MarginRow total_;
  Money idle_;
};

}  // namespace

std::optional<MarginBy> parse_margin_by(std::string_view name) {
  if (name.empty() || name == "model") return MarginBy::kModel;
  if (name == "hour") return MarginBy::kHour;
  if (name == "band") return MarginBy::kBand;
  return std::nullopt;
}

MarginReport margin_report(const std::vector<UsageHour>& usage, const std::vector<CostHour>& costs, MarginBy by) {
  Report report(usage, by);
  for (const auto& cost : costs) report.add(cost);
  return report.take();
}

std::vector<Money> split_exactly(Money total, const std::vector<Int128>& weights) {
  const bool is_negative = total.is_negative();
  const Int128 amount = is_negative ? -total.pico() : total.pico();
  const Int128 sum = std::accumulate(weights.begin(), weights.end(), Int128(0));
  TG_CHECK(sum > 0 && sum < power_of_ten(14) && amount < power_of_ten(24));
  std::vector<Int128> parts, remainders;
  Int128 left = amount;
  for (const Int128 weight : weights) {
    TG_CHECK(weight >= 0);
    parts.push_back(amount * weight / sum);
    remainders.push_back(amount * weight % sum);
    left -= parts.back();
  }
  std::vector<std::size_t> order(weights.size());
  std::iota(order.begin(), order.end(), 0U);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return remainders[a] > remainders[b]; });
  for (std::size_t i = 0; left > 0; ++i, --left) parts[order[i]] += 1;
  std::vector<Money> out;
  for (const Int128 part : parts) out.push_back(Money::from_pico(is_negative ? -part : part));
  return out;
}

std::optional<std::string> margin_percent(Money revenue, Money cost) {
  if (cost <= Money()) return std::nullopt;
  const Int128 hundredths = div_half_even((revenue - cost).pico() * 10'000, cost.pico());
  const bool is_negative = hundredths < 0;
  const Int128 size = is_negative ? -hundredths : hundredths;
  std::string decimals = int128_to_string(size % 100);
  if (decimals.size() < 2) decimals.insert(0, 1, '0');
  return (is_negative ? "-" : "") + int128_to_string(size / 100) + "." + decimals;
}

}  // namespace tidegate::billing
