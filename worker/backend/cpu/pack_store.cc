#include "worker/backend/cpu/pack_store.h"

#include <cstring>
#include <span>

namespace tidegate::worker {
namespace {

/// What is never filled of it is never touched, and costs nothing.
constexpr std::size_t kChunkBytes = std::size_t{64} << 20;

std::size_t whole_lines(std::size_t bytes) {
  constexpr std::size_t kLine = AlignedBuffer<std::byte>::kAlignment;
  return (bytes + kLine - 1) / kLine * kLine;
}

}  // namespace

std::byte* PackInMemory::room_for(std::size_t bytes) {
  if (chunks_.empty() || chunks_.back().size() - used_ < bytes) {
    chunks_.emplace_back(kChunkBytes);
    used_ = 0;
  }
  std::byte* room = chunks_.back().data() + used_;
  used_ += bytes;
  return room;
}

PackedMatrix PackInMemory::keep(PackedMatrix matrix) {
  const std::span<const std::byte> weights = matrix.bytes();
  const std::span<const float> scales = matrix.scales();
  const std::size_t scales_at = whole_lines(weights.size());
  const std::size_t bytes = scales_at + whole_lines(scales.size_bytes());
  if (bytes >= AlignedBuffer<std::byte>::kLargeBytes) return matrix;
  std::byte* room = room_for(bytes);
  std::memcpy(room, weights.data(), weights.size());
  auto* scales_room = reinterpret_cast<float*>(room + scales_at);
  if (!scales.empty()) std::memcpy(scales_room, scales.data(), scales.size_bytes());
  return PackedMatrix::over(matrix.outputs(), matrix.inputs(), matrix.format(), {room, weights.size()},
                            {scales_room, scales.size()});
}

}  // namespace tidegate::worker
