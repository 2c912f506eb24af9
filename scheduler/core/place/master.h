#pragma once

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace tidegate::scheduler::placement {

/// Which known choice each need should take: the linear program
///   least of sum(cost * share), sum(use * share) <= there for each price, the shares of each need sum to one.
/// Solved by the primal simplex with an explicit inverse, warm from the last solution: choices come one by one, and a
/// few hundred rows are few. Its answers steer and are never part of a bound, so rounding errors cost quality only.
class Master {
 public:
  struct Use {
    std::int32_t price = 0;
    double amount = 0;
  };
  struct Choice {
    std::int32_t need = 0;
    double cost = 0;
    std::vector<Use> uses;
    std::vector<std::pair<std::int32_t, double>> counts;  ///< of options; what the choice means, not used here
  };

  /// `refusals`: of each need, what choosing nothing costs; the first choice it has.
  Master(const std::vector<double>& there, const std::vector<double>& refusals);

  /// False: known already. Amounts are positive.
  bool add(Choice choice);
  /// Until no choice would improve, so many exchanges, or the time is up. Returns the cost.
  double solve(std::int64_t exchanges_max, const std::function<bool()>& is_time_up);

  /// What one more of each would save. Not negative.
  std::vector<double> prices() const;
  /// Of each choice, as added; the refusals come first.
  std::vector<double> shares() const;
  const std::vector<Choice>& choices() const { return choices_; }

 private:
  double reduced_cost(const Choice& choice) const;
  bool exchange(std::int32_t entering);
  double* row(std::size_t index) { return inverse_.data() + index * size_; }

  std::size_t prices_;
  std::size_t size_;                   ///< rows: prices, then needs
  std::vector<Choice> choices_;
  std::vector<std::vector<std::int32_t>> of_need_;
  std::vector<std::int32_t> basis_;    ///< of each row: a choice, or -1 - price for what is left of it
  std::vector<char> is_basic_;
  std::vector<double> inverse_;
  std::vector<double> level_;
  std::vector<double> duals_;
  std::vector<double> entering_;
  std::vector<std::size_t> pivots_;
};

}  // namespace tidegate::scheduler::placement
