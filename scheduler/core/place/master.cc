#include "scheduler/core/place/master.h"

#include <algorithm>
#include <cmath>

namespace tidegate::scheduler::placement {

namespace {

constexpr double kGain = 1e-7;    // of the cost of all, below which an exchange is none
constexpr double kPivot = 1e-7;
constexpr double kZero = 1e-13;
constexpr std::int64_t kExchangesALook = 32;
constexpr double kSpread = 1e-5;  // of what is there, added unevenly: ties between rows make the simplex stand still


}  // namespace

Master::Master(const std::vector<double>& there, const std::vector<double>& refusals) : prices_(there.size()), size_(there.size() + refusals.size()) {
  inverse_.assign(size_ * size_, 0.0);
  for (std::size_t i = 0; i < size_; ++i) row(i)[i] = 1;
  duals_.assign(size_, 0.0);
  of_need_.resize(refusals.size());
  for (std::size_t i = 0; i < prices_; ++i) {
    basis_.push_back(-1 - static_cast<std::int32_t>(i));
    level_.push_back(there[i] + (1 + there[i]) * kSpread * (1 + static_cast<double>(i * 7919 % 101) / 101));
  }
  for (std::size_t d = 0; d < refusals.size(); ++d) {
    basis_.push_back(static_cast<std::int32_t>(d));
    level_.push_back(1);
    duals_[prices_ + d] = refusals[d];
    of_need_[d].push_back(static_cast<std::int32_t>(d));
    choices_.push_back({static_cast<std::int32_t>(d), refusals[d], {}, {}});
    is_basic_.push_back(1);
  }
}

bool Master::add(Choice choice) {
  const auto is_same = [&](std::int32_t index) { return choices_[at(index)].counts == choice.counts; };
  auto& known = of_need_[at(choice.need)];
  if (std::any_of(known.begin(), known.end(), is_same)) return false;
  known.push_back(static_cast<std::int32_t>(choices_.size()));
  choices_.push_back(std::move(choice));
  is_basic_.push_back(0);
  return true;
}

double Master::reduced_cost(const Choice& choice) const {
  double cost = choice.cost - duals_[prices_ + at(choice.need)];
  for (const Use& use : choice.uses) cost -= use.amount * duals_[at(use.price)];
  return cost;
}

/// `entering`: a choice, or -1 - price.
bool Master::exchange(std::int32_t entering) {
  entering_.assign(size_, 0.0);
  const auto add_column = [&](std::size_t column, double amount) {
    for (std::size_t i = 0; i < size_; ++i) entering_[i] += amount * inverse_[i * size_ + column];
  };
  double gain = 0;
  if (entering >= 0) {
    const Choice& choice = choices_[at(entering)];
    add_column(prices_ + at(choice.need), 1);
    for (const Use& use : choice.uses) add_column(at(use.price), use.amount);
    gain = reduced_cost(choice);
  } else {
    add_column(at(-1 - entering), 1);
    gain = -duals_[at(-1 - entering)];
  }
  std::size_t leaving = size_;
  double step = 0;
  for (std::size_t i = 0; i < size_; ++i) {
    if (entering_[i] <= kPivot) continue;
    const double ratio = std::max(0.0, level_[i]) / entering_[i];
    if (leaving < size_ && (ratio > step + 1e-12 || (ratio > step - 1e-12 && entering_[i] <= entering_[leaving]))) continue;
    leaving = i;
    step = ratio;
  }
  if (leaving == size_) return false;
  double* const pivot_row = row(leaving);
  const double pivot = entering_[leaving];
  pivots_.clear();
  for (std::size_t k = 0; k < size_; ++k) {
    if (pivot_row[k] == 0) continue;
    duals_[k] += gain / pivot * pivot_row[k];
    pivot_row[k] /= pivot;
    if (std::abs(pivot_row[k]) < kZero) pivot_row[k] = 0;
    if (pivot_row[k] != 0) pivots_.push_back(k);
  }
  for (std::size_t i = 0; i < size_; ++i) {
    if (i == leaving || std::abs(entering_[i]) < kZero) continue;
    double* const to = row(i);
    for (const std::size_t k : pivots_) to[k] -= entering_[i] * pivot_row[k];
    level_[i] -= entering_[i] * step;
  }
  level_[leaving] = step;
  if (basis_[leaving] >= 0) is_basic_[at(basis_[leaving])] = 0;
  if (entering >= 0) is_basic_[at(entering)] = 1;
  basis_[leaving] = entering;
  return true;
}

double Master::solve(std::int64_t exchanges_max, const std::function<bool()>& is_time_up) {
  double scale = 0;
  for (const double each : duals_) scale = std::max(scale, std::abs(each));
  const double least = -kGain * std::max(1.0, scale);
  for (std::int64_t exchanges = 0; exchanges < exchanges_max; ++exchanges) {
    if (exchanges % kExchangesALook == kExchangesALook - 1 && is_time_up()) break;
    std::int32_t entering = 0;
    double best = least;
    for (std::size_t i = 0; i < prices_; ++i) {
      if (-duals_[i] >= best) continue;
      best = -duals_[i];
      entering = -1 - static_cast<std::int32_t>(i);
    }
    for (std::size_t j = 0; j < choices_.size(); ++j) {
      if (is_basic_[j] != 0) continue;
      const double cost = reduced_cost(choices_[j]);
      if (cost >= best) continue;
      best = cost;
      entering = static_cast<std::int32_t>(j);
    }
    if (best >= least || !exchange(entering)) break;
  }
  double cost = 0;
  for (std::size_t i = 0; i < size_; ++i) cost += basis_[i] >= 0 ? level_[i] * choices_[at(basis_[i])].cost : 0;
  return cost;
}

std::vector<double> Master::prices() const {
  std::vector<double> out;
  for (std::size_t i = 0; i < prices_; ++i) out.push_back(std::isfinite(duals_[i]) ? std::max(0.0, -duals_[i]) : 0.0);
  return out;
}

std::vector<double> Master::shares() const {
  std::vector<double> out(choices_.size(), 0.0);
  for (std::size_t i = 0; i < size_; ++i) {
    if (basis_[i] >= 0) out[at(basis_[i])] = std::clamp(level_[i], 0.0, 1.0);
  }
  return out;
}

}  // namespace tidegate::scheduler::placement
