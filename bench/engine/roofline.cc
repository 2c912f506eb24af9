#include "bench/engine/roofline.h"

#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include "worker/backend/cpu/isa.h"
#include "worker/backend/cpu/tile_unit.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace tidegate::bench {
namespace {

constexpr int kRounds = 5;

/// Best of rounds of amount / seconds, where every thread does `amount / threads` of it at the same time.
template <typename Body>
double best_rate(const Yardstick& yardstick, double amount, const Body& body) {
  const int threads = yardstick.threads;
  double best = 0;
  for (int round = 0; round < kRounds; ++round) {
    const double start = yardstick.seconds();
    std::vector<std::thread> helpers;
    for (int t = 1; t < threads; ++t) helpers.emplace_back([&body, t] { body(t); });
    body(0);
    for (std::thread& helper : helpers) helper.join();
    best = std::max(best, amount / (yardstick.seconds() - start));
  }
  return best;
}

#if defined(__x86_64__)
constexpr std::int64_t kSteps = 8'000'000;
constexpr int kChains = 12;  // more than latency times issue width of any core so far

__attribute__((target("avx512f"))) float fma_512() {
  __m512 sum[kChains];
  for (int c = 0; c < kChains; ++c) sum[c] = _mm512_set1_ps(static_cast<float>(c));
  const __m512 a = _mm512_set1_ps(0.999f);
  const __m512 b = _mm512_set1_ps(0.001f);
  for (std::int64_t i = 0; i < kSteps; ++i) {
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) sum[c] = _mm512_fmadd_ps(sum[c], a, b);
  }
  float lanes[16];
  float total = 0;
  for (int c = 0; c < kChains; ++c) {
    _mm512_storeu_ps(lanes, sum[c]);
    total += lanes[0];
  }
  return total;
}

__attribute__((target("avx2,fma"))) float fma_256() {
  __m256 sum[kChains];
  for (int c = 0; c < kChains; ++c) sum[c] = _mm256_set1_ps(static_cast<float>(c));
  const __m256 a = _mm256_set1_ps(0.999f);
  const __m256 b = _mm256_set1_ps(0.001f);
  for (std::int64_t i = 0; i < kSteps; ++i) {
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) sum[c] = _mm256_fmadd_ps(sum[c], a, b);
  }
  float lanes[8];
  float total = 0;
  for (int c = 0; c < kChains; ++c) {
    _mm256_storeu_ps(lanes, sum[c]);
    total += lanes[0];
  }
  return total;
}

__attribute__((target("avx512f,avx512bf16"))) float dot_bf16() {
  __m512 sum[kChains];
  for (int c = 0; c < kChains; ++c) sum[c] = _mm512_set1_ps(static_cast<float>(c));
  const auto a = (__m512bh)_mm512_set1_epi16(0x3c00);
  auto b = (__m512bh)_mm512_set1_epi16(0x3c10);
  for (std::int64_t i = 0; i < kSteps; ++i) {
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) sum[c] = _mm512_dpbf16_ps(sum[c], a, b);
    __asm__ volatile("" : "+v"(b));  // the sums are all alike but for their start: not for the compiler to know
  }
  float lanes[16];
  float total = 0;
  for (int c = 0; c < kChains; ++c) {
    _mm512_storeu_ps(lanes, sum[c]);
    total += lanes[0];
  }
  return total;
}

__attribute__((target("avx512f,avx512vnni"))) float dot_int8() {
  __m512i sum[kChains];
  for (int c = 0; c < kChains; ++c) sum[c] = _mm512_set1_epi32(c);
  const __m512i a = _mm512_set1_epi8(3);
  __m512i b = _mm512_set1_epi8(5);
  for (std::int64_t i = 0; i < kSteps; ++i) {
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) sum[c] = _mm512_dpbusd_epi32(sum[c], a, b);
    __asm__ volatile("" : "+v"(b));
  }
  std::int32_t lanes[16];
  float total = 0;
  for (int c = 0; c < kChains; ++c) {
    _mm512_storeu_si512(lanes, sum[c]);
    total += static_cast<float>(lanes[0]);
  }
  return total;
}

/// kSteps / 16 rounds of four products of 16 x 16 x 32.
__attribute__((target("amx-tile,amx-bf16"))) float multiply_tiles() {
  const worker::TileShapes shapes = worker::tile_shapes(worker::kTileRows, worker::kTileRows);
  __asm__ volatile("" ::"r"(&shapes) : "memory");
  _tile_loadconfig(&shapes);
  alignas(64) float sums[16 * 16] = {};
  __asm__ volatile("" ::"r"(&sums) : "memory");
  _tile_loadd(4, sums, 64);
  _tile_loadd(5, sums, 64);
  _tile_loadd(6, sums, 64);
  _tile_loadd(7, sums, 64);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (std::int64_t i = 0; i < kSteps / 16; ++i) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, sums, 64);
  _tile_release();
  return sums[0];
}
#endif

void keep(float value) {
  [[maybe_unused]] static volatile float sink;
  sink = value;
}

}  // namespace

double Yardstick::seconds() const {
  if (!by_cpu_time) return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9) / threads;
}

double Yardstick::read_bandwidth() const {
  constexpr std::size_t kWords = std::size_t{32} << 20;
  std::vector<std::vector<std::uint64_t>> memory(static_cast<std::size_t>(threads), std::vector<std::uint64_t>(kWords, 1));
  return best_rate(*this, static_cast<double>(threads) * kWords * sizeof(std::uint64_t), [&](int thread) {
    const std::uint64_t* at = memory[static_cast<std::size_t>(thread)].data();
    std::uint64_t sum[8] = {};
    for (std::size_t i = 0; i < kWords; i += 8) {
      for (std::size_t j = 0; j < 8; ++j) sum[j] ^= at[i + j];
    }
    keep(static_cast<float>(sum[0] ^ sum[1] ^ sum[2] ^ sum[3] ^ sum[4] ^ sum[5] ^ sum[6] ^ sum[7]));
  });
}

double Yardstick::peak_fma() const {
#if defined(__x86_64__)
  const double amount = static_cast<double>(threads) * kSteps * kChains * 2;
  if (__builtin_cpu_supports("avx512f")) return best_rate(*this, amount * 16, [](int) { keep(fma_512()); });
  if (__builtin_cpu_supports("fma")) return best_rate(*this, amount * 8, [](int) { keep(fma_256()); });
#endif
  return 0;
}

double Yardstick::peak_bf16_dot() const {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512bf16")) {
    return best_rate(*this, static_cast<double>(threads) * kSteps * kChains * 64, [](int) { keep(dot_bf16()); });
  }
#endif
  return 0;
}

double Yardstick::peak_bf16_tiles() const {
#if defined(__x86_64__)
  if (worker::isa_available(worker::CpuIsa::kAmxBf16)) {
    constexpr double kOperations = 2.0 * 16 * 16 * 32;
    return best_rate(*this, static_cast<double>(threads) * (kSteps / 16) * 4 * kOperations, [](int) { keep(multiply_tiles()); });
  }
#endif
  return 0;
}

double Yardstick::peak_int8_dot() const {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512vnni")) {
    return best_rate(*this, static_cast<double>(threads) * kSteps * kChains * 128, [](int) { keep(dot_int8()); });
  }
#endif
  return 0;
}

}  // namespace tidegate::bench
