//! Storage: the SQL seam over both engines, and the migrations.

pub mod seam;
