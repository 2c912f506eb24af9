#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace tidegate::worker {

/// How the states of a text's tokens become one vector: a fact of the model, which was trained with one of the two.
enum class Pooling : std::uint8_t {
  kMean,  ///< of all tokens
  kLast,  ///< the last token's, which has seen the others
};

/// The vector of one text, from the states of its tokens as they are computed. In double, token by token: the same bits
/// however the text is cut into steps.
class Pooler {
 public:
  Pooler(Pooling pooling, std::size_t width) : pooling_(pooling), sum_(width) {}

  /// States of the next tokens, [tokens][width].
  void add(std::span<const float> states);
  /// The text begins anew.
  void reset();
  /// Of length 1 (L2). Zeros when no token has a state other than zero.
  std::vector<float> vector() const;

 private:
  Pooling pooling_;
  std::vector<double> sum_;
};

}  // namespace tidegate::worker
